"""`verify`: what a deployed stage promises, tried on it; changes nothing else."""

from typing import Any

from infra.ops.aws import deployed
from infra.ops.aws.target import Target
from infra.ops.aws.uploads import Buckets
from infra.ops.aws.verification import Line, verify
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import REGION
from infra.ops.screen.progress import Step
from infra.ops.stage import APPLICATION, Stage
from infra.ops.tools.chalice import is_local, process_url
from infra.ops.tools.roots import Foundation, state_bucket, state_bucket_exists


class NotDeployedError(Exception):
    """There is no such stage to try; says what to do first."""


def verify_stage(name: str, step: Step) -> list[Line]:
    """Find a stage, or the local one, and try it. Raises NotDeployedError."""
    step("Finding what is deployed")
    return verify(_local() if name == "local" else _in_aws(Stage(name)), step)


def target(stage: Stage, foundation: dict[str, Any]) -> Target:
    """Say where a stage is, by Terraform's outputs and by what Chalice deployed."""
    buckets = Buckets(*(foundation[f"{use}_data_bucket_name"] for use in Buckets._fields))
    return Target(buckets, stage.data_processor, process_url(stage), stage.region)


def _in_aws(stage: Stage) -> Target:
    bucket = state_bucket(stage)
    if state_bucket_exists(stage, bucket) and (foundation := Foundation(stage, bucket).outputs()):
        deployed.fetch(stage, bucket)
        if deployed.rest_api_id(stage):
            return target(stage, foundation)
    raise NotDeployedError(f"The stage {stage.name} is not deployed: `make deploy STAGE={stage.name}`.")


def _local() -> Target:
    if not is_local():
        raise NotDeployedError(
            "The local cloud is not named here: paste what `make up` prints, then try again."
        )
    function = f"{APPLICATION}-local-data-processor"
    return Target(local_stage.buckets(), function, local_stage.process_url(), REGION)
