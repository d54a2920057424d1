"""`configure`: prepare a machine that has not deployed a stage for `chalice deploy`."""

from typing import Any

from infra.ops.aws import deployed
from infra.ops.errors import OperatorError
from infra.ops.local.cloud import ROOT
from infra.ops.screen.progress import Step
from infra.ops.stage import Stage
from infra.ops.tools.bytecode import add_bytecode
from infra.ops.tools.roots import Foundation, state_bucket, state_bucket_exists


class NotMadeError(OperatorError):
    """Part of the stage does not exist yet. The message says what to do first."""


def configure(stage: Stage, step: Step) -> list[str]:
    """Fetch what Terraform and Chalice know of a stage; returns the shell lines that deploy it from here.

    Changes nothing in AWS. Raises NotMadeError.
    """
    step("Reading the outputs of infra, and what Chalice deployed")
    bucket = state_bucket(stage)
    prepare(stage, bucket, made(stage, bucket))
    return [f"export AWS_DEFAULT_REGION={stage.region}", f".venv/bin/chalice deploy --stage {stage.name}"]


def made(stage: Stage, bucket: str) -> dict[str, Any]:
    """Read the outputs of infra; NotMadeError if there is no state bucket."""
    if not state_bucket_exists(stage, bucket):
        raise not_made(stage, f"bucket {bucket}")
    return Foundation(stage, bucket).outputs()


def prepare(stage: Stage, bucket: str, foundation: dict[str, Any]) -> None:
    """Write what `chalice deploy` needs: names and roles, the API to update, compiled requirements.

    Raises NotMadeError.
    """
    try:
        stage.render(foundation)
    except KeyError as output:
        raise not_made(stage, f"output {output}") from None
    deployed.fetch(stage, bucket)
    add_bytecode(ROOT)


def not_made(stage: Stage, what: str) -> NotMadeError:
    """Return the error that says what is missing, and what to do first."""
    return NotMadeError(
        f"The stage {stage.name} is not complete: there is no {what}. "
        f"First run `make deploy STAGE={stage.name}`, or the steps in infra/README.md."
    )
