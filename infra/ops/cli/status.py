"""`status`: a stage, or the story of one object, on one screen."""

import sys

import click

from infra.ops.cli.telling import SOMETHING_TO_DO, any_stage_option, failure, json_option, told_place
from infra.ops.commands.status import status
from infra.ops.commands.story import tell_story
from infra.ops.screen.findings import show_findings
from infra.ops.screen.progress import console

VITAL = ("alarms", "failures")


@click.command("status")
@click.argument("key", required=False)
@any_stage_option
@json_option
def status_command(name: str, key: str | None) -> None:
    """Show a stage on one screen; or what became of the object under KEY.

    Changes nothing; what waits in the failure queue is hidden from others for some seconds. Ends with 3 if
    something is to be done, and says which command comes next; with 1 if alarms or failures cannot be seen.
    """
    with told_place(name) as place, console.status("Looking"):
        findings = tell_story(place, key) if key else status(place)
    is_something_to_do = show_findings(f"The object {key}" if key else f"The stage {name}", findings)
    unseen = [one.name for one in findings if one.name in VITAL and "unknown" in one.facts]
    if unseen and not key:
        raise failure(f"Nobody can say that all is well: {' and '.join(unseen)} could not be seen.")
    if is_something_to_do:
        sys.exit(SOMETHING_TO_DO)
