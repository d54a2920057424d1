"""`redrive`: retry the events in the failure queue."""

import sys
from datetime import UTC, datetime

import click

from infra.ops.aws.place import Place
from infra.ops.cli.common import SOMETHING_TO_DO, deployed_stage, json_option, stage_or_local_option
from infra.ops.commands.redrive import Redriven, redrive, waiting_by_cause
from infra.ops.screen.numbers import counted
from infra.ops.screen.progress import bar, console, print_json
from infra.ops.screen.summary import summarise, tabulate


@click.command("redrive")
@stage_or_local_option
@json_option
@click.option("--max", "limit", type=click.IntRange(min=1), help="Send at most this many events.")
@click.option("--dry-run", is_flag=True, help="Only show which messages wait, and why.")
def redrive_command(name: str, limit: int | None, *, dry_run: bool) -> None:
    """Send the events in a stage's failure queue to its function again.

    Ends with 3 if anything stays in the queue, or with --dry-run if anything waits.
    """
    with deployed_stage(name) as place:
        if dry_run:
            _show_waiting(place, limit)
        else:
            with bar("Redriving") as advance:
                redriven = redrive(place, advance, limit=limit)
            _show_result(redriven)


def _show_waiting(place: Place, limit: int | None) -> None:
    waiting = waiting_by_cause(place, limit=limit)
    if not waiting:
        summarise("Nothing waits in the failure queue.", {})
        return
    rows = [(cause, str(len(sent)), _time(min(sent)), _time(max(sent))) for cause, sent in waiting]
    tabulate(("why it waits", "messages", "the oldest, UTC", "the newest, UTC"), rows)
    summarise(f"{counted(sum(len(sent) for _, sent in waiting), 'message')} shown; nothing was sent.", {})
    sys.exit(SOMETHING_TO_DO)


def _show_result(redriven: Redriven) -> None:
    for message in redriven.set_aside:
        print_json(message=message.id, set_aside=message.cause)
        console.print(f"set aside, message {message.id}: {message.cause}", highlight=False, markup=False)
    title = f"{redriven.accepted} accepted by Lambda; what fails again is back in minutes."
    counts = redriven._asdict() | {"set_aside": len(redriven.set_aside)}
    print_json(summary=title, **counts)
    console.print(title)
    if redriven.came_meanwhile:
        console.print(f"{redriven.came_meanwhile} came into the queue meanwhile: --dry-run shows why.")
    if redriven.more:
        console.print("More may wait: run it again.")
    if redriven.set_aside or redriven.came_meanwhile or redriven.more:
        sys.exit(SOMETHING_TO_DO)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
