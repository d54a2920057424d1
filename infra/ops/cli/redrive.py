"""`redrive`: try again what waits in the failure queue."""

import sys
from datetime import UTC, datetime

import click

from infra.ops.aws.place import Place
from infra.ops.cli.telling import SOMETHING_TO_DO, any_stage_option, json_option, told_place
from infra.ops.commands.redrive import Redriven, look, redrive
from infra.ops.screen.progress import bar, console, tell_json
from infra.ops.screen.summary import tabulate


@click.command("redrive")
@any_stage_option
@json_option
@click.option("--max", "limit", type=click.IntRange(min=1), help="Send so many events, no more.")
@click.option("--dry-run", is_flag=True, help="Only show what waits, and why.")
def redrive_command(name: str, limit: int | None, *, dry_run: bool) -> None:
    """Send the function of a stage again what waits in its failure queue.

    Ends with 3 if anything stays in the queue, or with --dry-run if anything waits.
    """
    with told_place(name) as place:
        if dry_run:
            _show(place, limit)
        else:
            with bar("Redriving") as advance:
                redriven = redrive(place, advance, limit=limit)
            _tell(redriven)


def _show(place: Place, limit: int | None) -> None:
    waiting = look(place, limit=limit)
    rows = [(cause, str(len(sent)), _time(min(sent)), _time(max(sent))) for cause, sent in waiting]
    if not rows:
        console.print("Nothing waits in the failure queue.")
        return
    tabulate(("why it waits", "messages", "the oldest, UTC", "the newest, UTC"), rows)
    sys.exit(SOMETHING_TO_DO)


def _tell(redriven: Redriven) -> None:
    for message in redriven.aside:
        tell_json(message=message.id, set_aside=message.cause)
        console.print(f"set aside, message {message.id}: {message.cause}", highlight=False, markup=False)
    counts = {
        "accepted": redriven.accepted,
        "set_aside": len(redriven.aside),
        "came_meanwhile": redriven.later,
        "more": redriven.more,
    }
    tell_json(**counts)
    console.print(f"{redriven.accepted} handed to Lambda; what fails again is back in minutes.")
    if redriven.later:
        console.print(f"{redriven.later} came into the queue meanwhile: look at why with --dry-run.")
    if redriven.more:
        console.print("More may wait: run it again.")
    if redriven.aside or redriven.later or redriven.more:
        sys.exit(SOMETHING_TO_DO)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
