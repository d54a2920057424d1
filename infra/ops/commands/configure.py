"""`configure`: a machine that has not deployed a stage, made ready for `chalice deploy`."""

from typing import Any

from infra.ops.aws import deployed
from infra.ops.errors import OperatorError
from infra.ops.local.cloud import ROOT
from infra.ops.screen.progress import Step
from infra.ops.stage import Stage
from infra.ops.tools.bytecode import add_bytecode
from infra.ops.tools.roots import Foundation, state_bucket, state_bucket_exists


class NotMadeError(OperatorError):
    """Something of the stage has not been made yet; says what to do first."""


def configure(stage: Stage, step: Step) -> list[str]:
    """Read what Terraform made and Chalice deployed; returns the lines that deploy the stage from here.

    Changes nothing in AWS. Raises NotMadeError.
    """
    step("Reading the outputs of infra, and what Chalice deployed")
    bucket = state_bucket(stage)
    prepare(stage, bucket, made(stage, bucket))
    return [f"export AWS_DEFAULT_REGION={stage.region}", f".venv/bin/chalice deploy --stage {stage.name}"]


def made(stage: Stage, bucket: str) -> dict[str, Any]:
    """Read the outputs of infra; NotMadeError if there is not even a bucket with them."""
    if not state_bucket_exists(stage, bucket):
        raise not_made(stage, f"bucket {bucket}")
    return Foundation(stage, bucket).outputs()


def prepare(stage: Stage, bucket: str, foundation: dict[str, Any]) -> None:
    """Have what `chalice deploy` needs: names and roles, the API to update, compiled requirements.

    Raises NotMadeError.
    """
    try:
        stage.render(foundation)
    except KeyError as output:
        raise not_made(stage, f"output {output}") from None
    deployed.fetch(stage, bucket)
    add_bytecode(ROOT)


def not_made(stage: Stage, what: str) -> NotMadeError:
    """Word what is missing, and what to do first."""
    return NotMadeError(
        f"The stage {stage.name} is not made yet: there is no {what}. "
        f"First `make deploy STAGE={stage.name}`, or step by step, as infra/README.md shows."
    )
