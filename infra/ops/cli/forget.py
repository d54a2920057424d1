"""`forget`: remove an upload and all that was made of it."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from chalicelib.telemetry import object_name
from infra.ops.aws.stored import Stored, Wanted
from infra.ops.aws.versions import Version
from infra.ops.cli.telling import (
    AGAIN,
    SOMETHING_TO_DO,
    any_stage_option,
    failure,
    json_option,
    told,
    told_place,
)
from infra.ops.commands.forget import Forgetting, patience
from infra.ops.screen.progress import bar, console, speaks_json
from infra.ops.screen.summary import summarise, tabulate

INTERRUPTED = (
    "Interrupted. What was found may be gone, but something can still come back, and nobody looks. "
    "Run the same command again: it goes on."
)


@click.command("forget")
@any_stage_option
@json_option
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--prefix", "prefixes", multiple=True, help="All keys that begin so.")
@click.option("--yes", is_flag=True, help="Do not ask for the keys to be typed once more.")
def forget_command(name: str, keys: tuple[str, ...], prefixes: tuple[str, ...], *, yes: bool) -> None:
    """Remove uploads for good, every version, and all that was made of them.

    It takes as long as a handler may run, so that nothing comes back. Ends with 3 if a key was uploaded again
    meanwhile: that upload stays.
    """
    wanted = [*(Wanted(key) for key in keys), *(Wanted(prefix, is_prefix=True) for prefix in prefixes)]
    if not all(one.text for one in wanted) or not wanted:
        raise click.UsageError("Which key? (All of them: `destroy --delete-data`.)")
    if speaks_json() and not yes:
        raise click.UsageError("With --json nobody is asked: add --yes.")
    with told_place(name) as place:
        forgetting = Forgetting(place, wanted)
        _show(forgetting)
        if not yes:
            _ask(wanted)
        begun = datetime.now(UTC)
        # Of what is nowhere, or of a key that was mistyped, nobody need wait for the handlers.
        _forget(forgetting, patience(place) if any(forgetting.found) else 0)
        _record(forgetting, begun)
    if forgetting.again or forgetting.shared or forgetting.unread:
        sys.exit(SOMETHING_TO_DO)


def _show(forgetting: Forgetting) -> None:
    rows = [(use, *_facts(found)) for use, found in forgetting.found._asdict().items()]
    console.print(f"keys {len(forgetting.keys)}", highlight=False)
    tabulate(("bucket", "versions", "markers", "bytes", "the oldest, UTC", "the newest, UTC"), rows)


def _facts(found: Sequence[Version]) -> tuple[str, ...]:
    markers = sum(one.is_marker for one in found)
    counts = (len(found) - markers, markers, sum(one.size for one in found))
    times = [one.modified for one in found]
    ends = (min(times), max(times)) if times else ()
    return (*(f"{number:,}" for number in counts), *(map(_time, ends)), *[""] * (2 - len(ends)))


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _ask(wanted: Sequence[Wanted]) -> None:
    for one in wanted:
        what = "prefix" if one.is_prefix else "key"
        if click.prompt(f"Type the {what} to have this removed for good") != one.text:
            raise failure(f"That is another {what}. Nothing was changed.")


def _forget(forgetting: Forgetting, seconds: int) -> None:
    try:
        with told(AGAIN), bar("Seconds until nothing can come back", seconds) as advance:
            forgetting.run(advance, patience=seconds)
    except KeyboardInterrupt:
        raise failure(INTERRUPTED) from None


def _record(forgetting: Forgetting, begun: datetime) -> None:
    """Tell what was done without a key, to be kept with the request."""
    facts = {
        "objects": " ".join(_digests(forgetting.keys)),
        "begun": begun.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        **{f"versions removed, {use}": str(forgetting.removed[use]) for use in Stored._fields},
        "messages removed": str(forgetting.messages),
        "messages kept, since they name others, too": str(forgetting.shared),
        "failure queue read to its end": "no: run it again" if forgetting.unread else "yes",
        "uploaded again, and kept": " ".join(_digests(forgetting.again)) or "none",
    }
    summarise("Forgotten." if any(forgetting.found) else "Nothing of it was there.", facts)


def _digests(keys: set[str]) -> list[str]:
    return sorted(object_name(key, log_object_keys=False).digest for key in keys)
