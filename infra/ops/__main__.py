"""The entrance of `python -m infra.ops`."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from botocore.exceptions import BotoCoreError, ClientError

from infra.ops.aws.account import (
    HOW_TO_GIVE_CREDENTIALS,
    ForeignEndpointError,
    lacks_credentials,
    reached,
)
from infra.ops.aws.uploads import UnhandledError
from infra.ops.aws.verification import Line, verify
from infra.ops.commands.check import check
from infra.ops.commands.configure import NotMadeError, configure
from infra.ops.commands.deploy import bootstrap, deploy, plan
from infra.ops.commands.destroy import InUseError, destroy
from infra.ops.commands.local import run_local
from infra.ops.commands.openapi import describe
from infra.ops.commands.redrive import redrive
from infra.ops.commands.schema import schema
from infra.ops.commands.verify import verify_local, verify_stage
from infra.ops.local.cloud import LocalCloudError
from infra.ops.screen.progress import Step, console, steps
from infra.ops.screen.summary import summarise, tabulate
from infra.ops.stage import Stage, UnknownStageError
from infra.ops.tools.run import ToolError

# What is told in a line or two; anything else is a bug, and shows its traceback.
FAILURES = (
    BotoCoreError,
    ClientError,
    ForeignEndpointError,
    InUseError,
    LocalCloudError,
    NotMadeError,
    OSError,
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
        if isinstance(error, InUseError | NotMadeError):  # which say themselves what to do
            advice = ""
        elif lacks_credentials(error):
            advice = HOW_TO_GIVE_CREDENTIALS
        raise click.ClickException(f"{error}\n{advice}".rstrip()) from None


@contextmanager
def _told_where(name: str, advice: str = "") -> Iterator[tuple[Stage, Step]]:
    """Tell whose account, which region and which endpoints are reached, and then what is done there."""
    with _told():
        stage = Stage(name)
        for what, value in reached(stage).items():
            console.print(f"{what} {value}", highlight=False, markup=False)
    with _told(advice), steps() as step:
        yield stage, step


@ops.command
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C, and show how to use it.")
def local(*, keep: bool) -> None:
    """Run the pipeline in a local cloud and show what becomes of the samples."""
    with _told():
        run_local(keep=keep)


# Without one, Stage says which there are.
stage_option = click.option("--stage", "name", default="", help="As in infra/env/ and .chalice/config.json.")


@ops.command("bootstrap")
@stage_option
def bootstrap_command(name: str) -> None:
    """Make what a stage's account needs once: the state bucket, and the roles in which GitHub deploys."""
    with _told_where(name, AGAIN) as (stage, step):
        roles = bootstrap(stage, step)
    summarise("The account is ready.", {f"{one} is deployed by": role for one, role in roles.items()})


@ops.command("plan")
@stage_option
def plan_command(name: str) -> None:
    """Show what `deploy` would change of a stage's buckets, roles and logs."""
    with _told():
        console.print(plan(Stage(name)), highlight=False, markup=False)


@ops.command("deploy")
@stage_option
def deploy_command(name: str) -> None:
    """Deploy a stage: Terraform, Chalice, Terraform; then verify it."""
    with _told_where(name, AGAIN) as (stage, step):
        facts, there = deploy(stage, step)
    summarise(f"The stage {name} is deployed.", facts)
    with _told(), steps() as step:
        lines = verify(there, step)
    _judge(name, lines)


@ops.command("verify")
@stage_option
def verify_command(name: str) -> None:
    """Try what a deployed stage promises, on objects under smoke-test/ that are removed again."""
    if name == "local":
        with _told(), steps() as step:
            lines = verify_local(step)
    else:
        with _told_where(name) as (stage, step):
            lines = verify_stage(stage, step)
    _judge(name, lines)


def _judge(name: str, lines: list[Line]) -> None:
    rows = [(line.check, line.seen, "yes" if line.passed else "NO") for line in lines]
    tabulate(("what was tried", "what was seen", "passed"), rows)
    if failed := [line.check for line in lines if not line.passed]:
        raise click.ClickException(f"{len(failed)} of {len(lines)} failed: {'; '.join(failed)}.")
    console.print(f"The stage {name} does what it should.", highlight=False)


@ops.command("configure")
@stage_option
def configure_command(name: str) -> None:
    """Make this machine ready for `chalice deploy` of a stage, whoever made or deployed it."""
    with _told_where(name) as (stage, step):
        lines = configure(stage, step)
    console.print(
        f"The stage {name} is configured. To deploy it from here:", "", *lines, sep="\n", highlight=False
    )


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
    with _told_where(name, AGAIN) as (stage, step):
        destroy(stage, step, delete_data=delete_data, last=last)
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
