"""`verify`: test a deployed stage with synthetic objects; nothing else is changed."""

from typing import Any

from infra.ops.aws import deployed
from infra.ops.aws.target import Target
from infra.ops.aws.uploads import Buckets
from infra.ops.aws.verification import Line, verify
from infra.ops.commands.configure import made, not_made
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import REGION, LocalCloudError
from infra.ops.screen.progress import Step
from infra.ops.stage import APPLICATION, Stage
from infra.ops.tools.chalice import is_local, process_url
from infra.ops.tools.roots import state_bucket


def verify_stage(stage: Stage, step: Step) -> list[Line]:
    """Find what is deployed of a stage and test it. Raises NotMadeError."""
    step("Reading the outputs of infra, and what Chalice deployed")
    bucket = state_bucket(stage)
    foundation = made(stage, bucket)
    deployed.fetch(stage, bucket)
    if not deployed.rest_api_id(stage):
        raise not_made(stage, "API")
    return verify(target(stage, foundation), step)


def verify_local(step: Step) -> list[Line]:
    """Test the stage `local` in the local cloud that the environment names. Raises LocalCloudError."""
    if not is_local():
        raise LocalCloudError("Which local cloud? Paste what `make up` prints, then try again.")
    function = f"{APPLICATION}-local-data-processor"
    return verify(Target(local_stage.buckets(), function, local_stage.process_url(), REGION), step)


def target(stage: Stage, foundation: dict[str, Any]) -> Target:
    """Name what to test of a stage, from Terraform's outputs and from what Chalice deployed."""
    buckets = Buckets(*(foundation[f"{use}_data_bucket_name"] for use in Buckets._fields))
    return Target(buckets, stage.data_processor, process_url(stage), stage.region)
