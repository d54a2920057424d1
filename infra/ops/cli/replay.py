"""`replay`: publish many objects again, watch a run, slow it down."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from infra.ops.aws.place import Place
from infra.ops.aws.state_machine import StateMachine
from infra.ops.cli.telling import SOMETHING_TO_DO, any_stage_option, failure, json_option, told_place
from infra.ops.commands.replay import Selection, count, failed, hand_over, named, new_name, report, watch
from infra.ops.screen.summary import summarise


@click.command("replay")
@any_stage_option
@json_option
@click.option("--prefix", default="", help="Only uploads whose keys begin so.")
@click.option(
    "--created-after", metavar="TIME", type=click.DateTime(), help="Only uploads from then on; UTC."
)
@click.option(
    "--created-before",
    metavar="TIME",
    type=click.DateTime(),
    help="Only uploads from before then: 2026-11-25, 2026-11-25T09:30:00.",
)
@click.option(
    "--files-from",
    type=click.File(encoding="utf-8"),
    help="Only these keys, or what `reconcile` found; `-` reads stdin.",
)
@click.option("--failed-of", metavar="RUN", help="Only what failed in an earlier run.")
@click.option("--force", is_flag=True, help="Also publish what is current.")
@click.option(
    "--max-concurrency",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="Batches at once.",
)
@click.option("--dry-run", is_flag=True, help="Only count the uploads it would look at.")
@click.option("--watch", "watched", metavar="RUN", help="Follow a run that was started before.")
@click.option(
    "--brake", metavar="N", type=click.IntRange(1), help="Let what runs, or RUN, work on N batches at once."
)
def replay_command(  # noqa: PLR0913 - an option each
    *,
    name: str,
    prefix: str,
    created_after: datetime | None,
    created_before: datetime | None,
    files_from: TextIO | None,
    failed_of: str | None,
    max_concurrency: int,
    watched: str | None,
    brake: int | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Publish uploads again whose events are lost, or whose extraction has changed; skip what is current.

    Ends with 3 if some failed: `replay --failed-of RUN` tries those again.
    """
    window = {"created_after": created_after, "created_before": created_before}
    times = {end: when.replace(tzinfo=UTC).isoformat() for end, when in window.items() if when}
    if sum(map(bool, (prefix or times, files_from, failed_of, watched or brake))) > 1:
        raise click.UsageError("Name the uploads, or a run, in one way only.")
    with told_place(name) as place:
        machine = StateMachine(place)
        if brake:
            _brake(machine, brake, [watched] if watched else machine.running())
        if watched:
            _follow(machine, watched)
        if watched or brake:
            return
        selection = Selection(prefix=prefix, force=force, **times)
        keys = named(files_from) if files_from else failed(machine, failed_of) if failed_of else None
        if dry_run:
            _count(place, selection, keys)
        else:
            _follow(machine, _start(machine, selection.asked(max_concurrency), keys))


def _brake(machine: StateMachine, batches: int, runs: list[str]) -> None:
    for run in runs:
        if not machine.brake(run, batches):
            raise failure(f"{run} has not begun to hand out batches: try again in a moment.")
        summarise(f"{run} works on {batches} batches at once now.", {})
    if not runs:
        summarise("Nothing runs.", {})


def _count(place: Place, selection: Selection, keys: Iterable[str] | None) -> None:
    number = count(place, selection) if keys is None else sum(1 for _ in keys)
    summarise("Nothing was started.", {"it would look at": f"{number} uploads"})


def _start(machine: StateMachine, asked: dict[str, Any], keys: Iterable[str] | None) -> str:
    run = new_name()
    if keys is not None:
        asked["manifest"] = hand_over(machine, run, keys)
    summarise(f"Starting {run}.", {})
    machine.start(run, asked)
    return run


def _follow(machine: StateMachine, name: str) -> None:
    try:
        run = watch(machine, name)
    except KeyboardInterrupt:
        again = f"python -m infra.ops replay --stage {machine.stage} --watch {name}"
        raise failure(f"{name} goes on without you. To look again: {again}") from None
    told = report(machine, run)
    summarise(f"{name} has ended.", told.facts())
    if told.state == "FAILED":
        raise failure(f"{name} was cut short: {run.error or run.status}.")
    if told.outcomes["failed"]:
        sys.exit(SOMETHING_TO_DO)
