"""The three Terraform roots of a stage, with their states and variables."""

from typing import Any

from botocore.exceptions import ClientError

from infra.ops.aws import deployed
from infra.ops.aws.account import account
from infra.ops.aws.state import state_s3
from infra.ops.local.cloud import ROOT
from infra.ops.stage import APPLICATION, Stage
from infra.ops.tools.run import ToolError
from infra.ops.tools.terraform import Root

# Outputs of the foundation that are variables of operations.
PASSED_TO_OPERATIONS = (
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
    """Name the bucket with the Terraform states of all stages of this account."""
    return f"{APPLICATION}-state-{account(stage.region)}"


def state_bucket_exists(stage: Stage, bucket: str) -> bool:
    """Say whether the bucket exists; ToolError if another account owns it."""
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
    """The state bucket, and the roles with which GitHub deploys. Its own state is a local file."""

    def __init__(self, stage: Stage, bucket: str) -> None:
        self._state = ROOT / "infra" / "bootstrap" / f"{bucket}.tfstate"
        self._root = Root("infra/bootstrap", bucket, self._state)
        self._region = f"-var=region={stage.state_region}"

    def apply(self) -> dict[str, Any]:
        """Create or update them; returns the outputs."""
        self._root.init()
        return self._root.apply(self._region)

    def is_ours(self) -> bool:
        """Say whether it was created on this machine, wholly or in part."""
        return self._state.exists()

    def destroy(self) -> None:
        """Remove the bucket with all states in it; ToolError if it was created on another machine."""
        if not self.is_ours():
            raise ToolError("The state bucket was created on another machine: destroy it there, or by hand.")
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
        """Create or update them; returns the outputs."""
        return self._root.apply(self._variables, *options)

    def outputs(self) -> dict[str, Any]:
        """Read the outputs of the last `apply`; empty if there was none."""
        return self._root.outputs()

    def plan(self) -> str:
        """Return what `apply` would do, as text."""
        return self._root.plan(self._variables)

    def remove_from_state(self, address: str) -> None:
        """Remove a resource from Terraform's state; the resource itself stays."""
        self._root.remove_from_state(address)

    @property
    def changes(self) -> str:
        """How many resources the last apply has added, changed and destroyed."""
        return self._root.changes

    def is_gone(self) -> bool:
        """Say whether none of it exists any more."""
        return self._root.is_empty()

    def destroy(self, *, delete_data: bool) -> None:
        """Remove them. Without `delete_data`, S3 refuses to delete buckets that hold objects."""
        if delete_data:  # Terraform reads force_destroy from the state
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
        """Create or update them; returns how many resources were added, changed and destroyed."""
        self._root.apply(*self._variables())
        return self._root.changes

    def destroy(self) -> None:
        """Remove them."""
        self._root.destroy(*self._variables())

    def _variables(self) -> list[str]:
        values = {name: self._foundation[name] for name in PASSED_TO_OPERATIONS} | {
            # `destroy` needs a value, too, which nothing reads.
            "rest_api_id": deployed.rest_api_id(self._stage) or "none",
            "timeout_seconds": self._stage.timeout_seconds,
        }
        return [f"-var={name}={value}" for name, value in values.items()]


def _backend(stage: Stage, bucket: str, root: str) -> list[str]:
    # Fails if another account owns the bucket. Terraform cannot check that: allowed_account_ids is about the
    # caller.
    state_bucket_exists(stage, bucket)
    settings = (stage.backend, f"bucket={bucket}", f"key={stage.name}/{root}.tfstate")
    return [f"-backend-config={setting}" for setting in settings]
