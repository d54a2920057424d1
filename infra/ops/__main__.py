"""The entrance of `python -m infra.ops`."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from botocore.exceptions import BotoCoreError, ClientError

from infra.ops.aws.uploads import UnhandledError
from infra.ops.commands.check import check
from infra.ops.commands.deploy import SmokeTestError, bootstrap, deploy, plan
from infra.ops.commands.destroy import InUseError, destroy
from infra.ops.commands.local import run_local
from infra.ops.commands.openapi import describe
from infra.ops.commands.redrive import redrive
from infra.ops.commands.schema import schema
from infra.ops.local.cloud import LocalCloudError
from infra.ops.screen.progress import console, steps
from infra.ops.screen.summary import summarise
from infra.ops.stage import Stage, UnknownStageError
from infra.ops.tools.run import ToolError

# What is told in a line or two; anything else is a bug, and shows its traceback.
FAILURES = (
    BotoCoreError,
    ClientError,
    InUseError,
    LocalCloudError,
    OSError,
    SmokeTestError,
    ToolError,
    UnhandledError,
    UnknownStageError,
)

AGAIN = "Mend that and run the same command again: it goes on where it stopped."


@click.group()
def ops() -> None:
    """Operate the retina-scan data pipeline."""
    # Whatever was started is stopped on the way out, as it is on Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextmanager
def _told(advice: str = "") -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise click.ClickException(f"{error}\n{advice}".rstrip()) from None


@ops.command
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C, and show how to use it.")
def local(*, keep: bool) -> None:
    """Run the pipeline in a local cloud and show what becomes of the samples."""
    with _told():
        run_local(keep=keep)


stage_option = click.option(
    "--stage", "name", required=True, help="As in infra/env/ and .chalice/config.json."
)


@ops.command("bootstrap")
@stage_option
def bootstrap_command(name: str) -> None:
    """Make what a stage's account needs once: the state bucket, and the roles in which GitHub deploys."""
    with _told(AGAIN), steps() as step:
        roles = bootstrap(Stage(name), step)
    summarise("The account is ready.", {f"{stage} is deployed by": role for stage, role in roles.items()})


@ops.command("plan")
@stage_option
def plan_command(name: str) -> None:
    """Show what `deploy` would change of a stage's buckets, roles and logs."""
    with _told():
        console.print(plan(Stage(name)), highlight=False, markup=False)


@ops.command("deploy")
@stage_option
def deploy_command(name: str) -> None:
    """Deploy a stage: Terraform, Chalice, Terraform, smoke test."""
    with _told(AGAIN), steps() as step:
        facts = deploy(Stage(name), step)
    summarise(f"The stage {name} works.", facts)


@ops.command("destroy")
@stage_option
@click.option(
    "--delete-data", is_flag=True, help="Delete what the buckets hold, too: patients' data, for good."
)
@click.option(
    "--last", is_flag=True, help="The account's last stage: remove the Terraform state bucket, too."
)
def destroy_command(name: str, *, delete_data: bool, last: bool) -> None:
    """Remove a stage; refused while its buckets hold anything."""
    with _told(AGAIN), steps() as step:
        destroy(Stage(name), step, delete_data=delete_data, last=last)
    summarise(f"Nothing is left of the stage {name}.", {})


@ops.command("redrive")
@stage_option
def redrive_command(name: str) -> None:
    """Try again what waits in the failure queue of a stage; what works leaves the queue."""
    with _told():
        stage = Stage(name)
        redriven = redrive(stage.data_processor, region=stage.region, timeout=stage.timeout_seconds)
    console.print(f"{redriven.handled} handled.")
    if redriven.failed:
        raise click.ClickException(f"{redriven.failed} failed again and stay in the queue; the log says why.")


@ops.command
def openapi() -> None:
    """Print the OpenAPI description of POST /process."""
    click.echo(json.dumps(describe(), indent=2))


@ops.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, without a byte of the documents.")
def check_command(files: tuple[str, ...], *, as_json: bool) -> None:
    """Say what would become of documents: files, `-` for the standard input, or s3://bucket/key.

    Ends with 0 if all is valid, 3 if records would be rejected, 4 if a document is malformed.
    """
    with _told():
        sys.exit(check(files, as_json=as_json))


@ops.command("schema")
def schema_command() -> None:
    """Print a JSON Schema of what comes in, what is published and what is rejected."""
    click.echo(json.dumps(schema(), indent=2))


ops(prog_name="python -m infra.ops")
