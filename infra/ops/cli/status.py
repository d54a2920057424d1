"""`status`: a stage, or the history of one object, on one screen."""

import sys

import click

from infra.ops.cli.common import SOMETHING_TO_DO, deployed_stage, failure, json_option, stage_or_local_option
from infra.ops.commands.history import object_history
from infra.ops.commands.status import status
from infra.ops.screen.findings import show_findings
from infra.ops.screen.progress import console

ESSENTIAL = ("alarms", "failures")


@click.command("status")
@click.argument("key", required=False)
@stage_or_local_option
@json_option
def status_command(name: str, key: str | None) -> None:
    """Show the state of a stage, or what happened to the object KEY, on one screen.

    Changes nothing, but hides messages of the failure queue from other readers for some seconds. Ends with 3
    if something is left to do, and says which command to run next. Ends with 1 if alarms or failures cannot
    be read.
    """
    with deployed_stage(name) as place, console.status("Looking"):
        findings = object_history(place, key) if key else status(place)
    something_to_do = show_findings(f"The object {key}" if key else f"The stage {name}", findings)
    unreadable = [one.name for one in findings if one.name in ESSENTIAL and "unknown" in one.facts]
    if unreadable and not key:
        raise failure(f"The state of the stage is unknown: {' and '.join(unreadable)} could not be read.")
    if something_to_do:
        sys.exit(SOMETHING_TO_DO)
