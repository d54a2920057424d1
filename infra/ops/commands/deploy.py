"""`deploy`: create or update a stage. Run again, it continues where it stopped, or changes nothing."""

from typing import Any

from infra.ops.aws import deployed
from infra.ops.aws.notification import retry_until_permitted
from infra.ops.aws.target import Target
from infra.ops.commands.configure import prepare
from infra.ops.commands.ingest import enter_queue, leave_queue
from infra.ops.commands.verify import target
from infra.ops.screen.progress import Step
from infra.ops.stage import Stage
from infra.ops.tools.chalice import chalice
from infra.ops.tools.roots import Bootstrap, Foundation, Operations, state_bucket, state_bucket_exists
from infra.ops.tools.run import ToolError


def deploy(stage: Stage, step: Step) -> tuple[dict[str, str], Target]:
    """Deploy a stage; returns facts to print, and where the stage is."""
    step("State bucket: terraform apply in infra/bootstrap")
    bucket = _state_bucket(stage)
    step("Buckets, roles, logs: terraform apply in infra")
    root = Foundation(stage, bucket)
    leave_queue(stage, bucket, root, step)
    foundation = _apply(stage, root)
    enter_queue(stage, foundation, step)
    step(f"Functions and API: chalice deploy --stage {stage.name}")
    prepare(stage, bucket, foundation)
    retry_until_permitted(lambda: chalice(stage, "deploy"))
    deployed.save(stage, bucket)
    step("Alarms, throttle, failure destination: terraform apply in infra/operations")
    changes = Operations(stage, bucket, foundation).apply()
    there = target(stage, foundation)
    facts = {
        "upload to": f"s3://{foundation['raw_data_bucket_name']}",
        "published to": f"s3://{foundation['processed_data_bucket_name']}",
        "rejected to": f"s3://{foundation['rejected_data_bucket_name']}",
        "alarms ring": foundation["alarm_topic_arn"],
        "POST": there.url,
        "infra": root.changes,
        "infra/operations": changes,
    }
    return facts, there


def _apply(stage: Stage, root: Foundation) -> dict[str, Any]:
    try:
        return root.apply()
    except ToolError as error:
        if f"ikerian-{stage.name}-boundary" not in str(error):
            raise
        first = f"First run `make bootstrap STAGE={stage.name}` where the account's .tfstate file is."
        raise ToolError(f"{error}\nThe permissions boundary of the stage is missing. {first}") from None


def bootstrap(stage: Stage, step: Step) -> dict[str, str]:
    """Create what an account needs once; returns the roles with which GitHub Actions deploys, by stage."""
    step("State bucket, roles for GitHub: terraform apply in infra/bootstrap")
    roles: dict[str, str] = Bootstrap(stage, state_bucket(stage)).apply()["deployer_role_arns"]
    return roles


def plan(stage: Stage) -> str:
    """Return Terraform's plan for the buckets, roles and logs of a stage that is deployed."""
    return Foundation(stage, state_bucket(stage)).plan()


def _state_bucket(stage: Stage) -> str:
    bucket = state_bucket(stage)
    bootstrap = Bootstrap(stage, bucket)
    if bootstrap.is_ours() or not state_bucket_exists(stage, bucket):
        bootstrap.apply()
    return bucket
