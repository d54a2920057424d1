"""`replay`: publish many objects again, follow a run, change its concurrency."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from infra.ops.aws.place import Place
from infra.ops.aws.state_machine import StateMachine
from infra.ops.cli.common import (
    SOMETHING_TO_DO,
    deployed_stage,
    failure,
    json_option,
    stage_or_local_option,
)
from infra.ops.commands.replay import (
    Selection,
    count_uploads,
    failed_keys,
    new_run_name,
    read_keys,
    report,
    upload_manifest,
    watch,
)
from infra.ops.screen.progress import console, print_json
from infra.ops.screen.summary import summarise


@click.command("replay")
@stage_or_local_option
@json_option
@click.option("--prefix", default="", help="Only uploads whose keys have this prefix.")
@click.option(
    "--created-after", metavar="TIME", type=click.DateTime(), help="Only uploads at or after TIME, in UTC."
)
@click.option(
    "--created-before",
    metavar="TIME",
    type=click.DateTime(),
    help="Only uploads before TIME: 2026-11-25, 2026-11-25T09:30:00.",
)
@click.option(
    "--files-from",
    type=click.File(encoding="utf-8"),
    help="Only these keys, one per line, or the output of `reconcile`; `-` reads stdin.",
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
@click.option("--dry-run", is_flag=True, help="Only count the uploads that it would check.")
@click.option("--watch", "watched", metavar="RUN", help="Follow a run that was started before.")
@click.option(
    "--brake",
    metavar="N",
    type=click.IntRange(1),
    help="Limit the run of --watch, or all that run, to N batches at once.",
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
    """Publish uploads again whose events were lost, or after a change of the extraction. Skips current ones.

    Ends with 3 if some failed: `replay --failed-of RUN` tries those again.
    """
    window = {"created_after": created_after, "created_before": created_before}
    times = {end: when.replace(tzinfo=UTC).isoformat() for end, when in window.items() if when}
    if sum(map(bool, (prefix or times, files_from, failed_of, watched or brake))) > 1:
        raise click.UsageError("Name the uploads, or a run, in one way only.")
    with deployed_stage(name) as place:
        machine = StateMachine(place)
        if brake:
            _brake(machine, brake, [watched] if watched else machine.running())
        if watched:
            _follow(machine, watched)
        if watched or brake:
            return
        selection = Selection(prefix=prefix, force=force, **times)
        keys = _listed(files_from) if files_from else failed_keys(machine, failed_of) if failed_of else None
        if dry_run:
            _count(place, selection, keys)
        else:
            _follow(machine, _start(machine, selection.as_input(max_concurrency), keys))


def _listed(lines: TextIO) -> Iterator[str]:
    """Read keys; then print how many lines were left out, and why."""
    left_out: Counter[str] = Counter()
    yield from read_keys(lines, left_out)
    for why, number in left_out.items():
        print_json(lines_left_out=number, why=why)
        console.print(f"lines left out {number}: {why}", highlight=False)


def _brake(machine: StateMachine, batches: int, runs: list[str]) -> None:
    for run in runs:
        if not machine.brake(run, batches):
            raise failure(f"{run} has not started its first batch: try again in a moment.")
        summarise(f"{run} is limited to {batches} batches at once now.", {})
    if not runs:
        summarise("No run is in progress.", {})


def _count(place: Place, selection: Selection, keys: Iterable[str] | None) -> None:
    number = count_uploads(place, selection) if keys is None else sum(1 for _ in keys)
    summarise("Nothing was started.", {"uploads to check": str(number)})


def _start(machine: StateMachine, run_input: dict[str, Any], keys: Iterable[str] | None) -> str:
    run = new_run_name()
    if keys is not None:
        run_input["manifest"] = upload_manifest(machine, run, keys)
    summarise(f"Starting {run}.", {})
    machine.start(run, run_input)
    return run


def _follow(machine: StateMachine, name: str) -> None:
    state = "keeps running"
    try:
        run = watch(machine, name)
        state = "has ended"
        outcome = report(machine, run)
    except KeyboardInterrupt:
        again = f"python -m infra.ops replay --stage {machine.stage} --watch {name}"
        raise failure(f"{name} {state}. For its report: {again}") from None
    summarise(f"{name} has ended.", outcome.facts())
    if outcome.state == "FAILED":
        raise failure(f"{name} was cut short: {run.error or run.status}.")
    if outcome.outcomes["failed"]:
        sys.exit(SOMETHING_TO_DO)
