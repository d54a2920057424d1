"""The three Terraform roots of a stage, connected to their states and told what they need."""

from typing import Any

from botocore.exceptions import ClientError

from infra.ops.aws import deployed
from infra.ops.aws.account import account
from infra.ops.aws.state import state_s3
from infra.ops.local.cloud import ROOT
from infra.ops.stage import APPLICATION, Stage
from infra.ops.tools.run import ToolError
from infra.ops.tools.terraform import Root

# What the foundation makes, or a stage's file sets there, and operations are to know.
HANDED_ON = (
    "alarm_topic_arn",
    "api_burst_limit",
    "api_rate_limit",
    "failure_queue_arn",
    "queue_batch_seconds",
    "queue_batch_size",
    "queue_concurrency",
    "region",
    "rejected_records_threshold",
    "stage",
    "upload_queue_arn",
)


def state_bucket(stage: Stage) -> str:
    """Name the bucket with the states of all stages of this account."""
    return f"{APPLICATION}-state-{account(stage.region)}"


def state_bucket_exists(stage: Stage, bucket: str) -> bool:
    """Say whether the bucket is there; ToolError if it is somebody else's."""
    try:
        state_s3(stage).head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "403":
            raise ToolError(f"{bucket} is not this account's bucket, or you may not see it.") from None
        if error.response["Error"]["Code"] != "404":
            raise
        return False
    return True


class Bootstrap:
    """The state bucket, and who may deploy from GitHub. Its own state is a file here, of one account."""

    def __init__(self, stage: Stage, bucket: str) -> None:
        self._state = ROOT / "infra" / "bootstrap" / f"{bucket}.tfstate"
        self._root = Root("infra/bootstrap", bucket, self._state)
        self._region = f"-var=region={stage.state_region}"

    def apply(self) -> dict[str, Any]:
        """Make them, or finish making them; returns the outputs."""
        self._root.init()
        return self._root.apply(self._region)

    def is_ours(self) -> bool:
        """Say whether it was made from here, wholly or in part."""
        return self._state.exists()

    def destroy(self) -> None:
        """Remove the bucket with all states in it; ToolError if it was made on another machine."""
        if not self.is_ours():
            raise ToolError("The state bucket was made on another machine: destroy it there, or by hand.")
        self._root.init()
        self._root.apply("-var=force_destroy=true", self._region)
        self._root.destroy(self._region)
        self._state.unlink()


class Foundation:
    """Buckets, roles, log groups, failure queue, alarm topic."""

    def __init__(self, stage: Stage, bucket: str) -> None:
        self._root = Root("infra", stage.name)
        self._variables = f"-var-file={stage.variables}"
        self._root.init(*_backend(stage, bucket, "foundation"))

    def apply(self, *options: str) -> dict[str, Any]:
        """Make them; returns the outputs."""
        return self._root.apply(self._variables, *options)

    def outputs(self) -> dict[str, Any]:
        """Read what the last `apply` made; empty if there was none."""
        return self._root.outputs()

    def plan(self) -> str:
        """Say what `apply` would do."""
        return self._root.plan(self._variables)

    def forget(self, address: str) -> None:
        """Have Terraform know no more of a resource, which stays as it is."""
        self._root.forget(address)

    @property
    def changes(self) -> str:
        """How many resources the last apply has added, changed and destroyed."""
        return self._root.changes

    def is_gone(self) -> bool:
        """Say whether nothing of it is left."""
        return self._root.is_empty()

    def destroy(self, *, delete_data: bool) -> None:
        """Remove them; without `delete_data`, S3 keeps buckets that hold objects."""
        if delete_data:  # what may go is read from the state
            self.apply("-var=force_destroy=true")
        self._root.destroy(self._variables)


class Operations:
    """Failure destination, API throttle, alarms, dashboard."""

    def __init__(self, stage: Stage, bucket: str, foundation: dict[str, Any]) -> None:
        self._stage = stage
        self._foundation = foundation
        self._root = Root("infra/operations", stage.name)
        self._root.init(*_backend(stage, bucket, "operations"))

    def apply(self) -> str:
        """Make them, for what is deployed; returns how many were added, changed and destroyed."""
        self._root.apply(*self._variables())
        return self._root.changes

    def destroy(self) -> None:
        """Remove them."""
        self._root.destroy(*self._variables())

    def _variables(self) -> list[str]:
        values = {name: self._foundation[name] for name in HANDED_ON} | {
            # Terraform wants a value to destroy too; nobody reads it then.
            "rest_api_id": deployed.rest_api_id(self._stage) or "none",
            "timeout_seconds": self._stage.timeout_seconds,
        }
        return [f"-var={name}={value}" for name, value in values.items()]


def _backend(stage: Stage, bucket: str, root: str) -> list[str]:
    # Terraform cannot say whose bucket it wants: its allowed_account_ids are about who asks.
    state_bucket_exists(stage, bucket)
    settings = (stage.backend, f"bucket={bucket}", f"key={stage.name}/{root}.tfstate")
    return [f"-backend-config={setting}" for setting in settings]
