"""`reconcile`: compare what is published with what was uploaded."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TextIO

import click

from infra.ops.aws.revisions import deployed_revision
from infra.ops.cli.common import SOMETHING_TO_DO, deployed_stage, json_option, stage_or_local_option
from infra.ops.commands.reconcile import MEANINGS, TO_DO, Selection, State, reconcile
from infra.ops.screen.numbers import counted
from infra.ops.screen.progress import Advance, bar, print_to_stderr, uses_json
from infra.ops.screen.summary import summarise


@click.command("reconcile")
@stage_or_local_option
@json_option
@click.option("--prefix", default="", help="Only keys with this prefix.")
@click.option("--created-after", type=click.DateTime(), help="Only uploads at or after this time, in UTC.")
@click.option("--created-before", type=click.DateTime(), help="Only uploads before this time, in UTC.")
@click.option(
    "--combined",
    type=click.File("w", encoding="utf-8"),
    metavar="FILE",
    help="Write every key with its state to FILE; `-` is the standard output. Keys may name patients.",
)
@click.option(
    "--thorough", is_flag=True, help="Read the metadata of every object, instead of trusting timestamps."
)
def reconcile_command(  # noqa: PLR0913 - an option each
    *,
    name: str,
    prefix: str,
    created_after: datetime | None,
    created_before: datetime | None,
    combined: TextIO | None,
    thorough: bool,
) -> None:
    """Compare what is published with what was uploaded. Changes nothing.

    States: `=` current, `+` not published, `*` published from another version or revision, `-` published, but
    the upload is gone, `!` malformed or refused, `.` ignored. Ends with 3 if any is `+` or `*`.
    """
    window = {"created_after": created_after, "created_before": created_before}
    times = {option: when.replace(tzinfo=UTC) for option, when in window.items() if when}
    if combined and combined.name == "<stdout>":
        print_to_stderr()
    with deployed_stage(name) as place:
        deployed = deployed_revision(place)
        found = reconcile(place, deployed, Selection(prefix, **times), thorough=thorough)
        # On the same terminal, a progress bar and lines would overwrite each other.
        with nullcontext(_no_progress) if combined and combined.isatty() else bar("Comparing") as advance:
            counts = _counted(found, combined, advance)
    title = (
        f"{counted(counts.total(), 'key')} of the stage {name} compared, for revision {deployed.revision}."
    )
    summarise(title, {f"{state} {MEANINGS[state]}": str(counts[state]) for state in State})
    if any(counts[state] for state in TO_DO):
        sys.exit(SOMETHING_TO_DO)


def _counted(found: Iterable[tuple[str, State]], combined: TextIO | None, advance: Advance) -> Counter[State]:
    counts: Counter[State] = Counter()
    for done, (key, state) in enumerate(found, 1):
        counts[state] += 1
        if combined:
            combined.write(_line(key, state))
        advance(done, None)
    return counts


def _no_progress(_done: int, _total: int | None) -> None:
    """Show nothing."""


def _line(key: str, state: State) -> str:
    if uses_json():
        return json.dumps({"key": key, "state": state}) + "\n"
    # A JSON string, if the key would break the line or could be taken for a JSON string.
    shown = key if key.isprintable() and not key.startswith('"') else json.dumps(key)
    return f"{state} {shown}\n"
