"""`configure`: a machine that has not deployed a stage, made ready for `chalice deploy`."""

from typing import Any

from infra.ops.aws import deployed
from infra.ops.local.cloud import ROOT
from infra.ops.screen.progress import Step
from infra.ops.stage import Stage
from infra.ops.tools.bytecode import add_bytecode
from infra.ops.tools.roots import Foundation, state_bucket, state_bucket_exists


class NotMadeError(Exception):
    """Terraform has not made what the stage's functions stand on; says what to do first."""


def configure(stage: Stage, step: Step) -> list[str]:
    """Read what Terraform made and Chalice deployed; returns the lines that deploy the stage from here.

    Changes nothing in AWS. Raises NotMadeError.
    """
    step("Reading the outputs of infra, and what Chalice deployed")
    bucket = state_bucket(stage)
    if not state_bucket_exists(stage, bucket):
        raise _not_made(stage, f"bucket {bucket}")
    try:
        prepare(stage, bucket, Foundation(stage, bucket).outputs())
    except KeyError as output:
        raise _not_made(stage, f"output {output}") from None
    return [f"export AWS_DEFAULT_REGION={stage.region}", f".venv/bin/chalice deploy --stage {stage.name}"]


def prepare(stage: Stage, bucket: str, foundation: dict[str, Any]) -> None:
    """Have what `chalice deploy` needs: names and roles, the API to update, compiled requirements."""
    stage.render(foundation)
    deployed.fetch(stage, bucket)
    add_bytecode(ROOT)


def _not_made(stage: Stage, what: str) -> NotMadeError:
    return NotMadeError(
        f"Terraform has not made the stage {stage.name} yet: there is no {what}. "
        f"First `make deploy STAGE={stage.name}`, or Terraform by hand, as infra/README.md shows."
    )
