"""`forget`: delete an upload, and everything that was made from it."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from chalicelib.safe_names import object_name
from infra.ops.aws.stored import Stored, Wanted
from infra.ops.aws.versions import Version
from infra.ops.cli.common import (
    RUN_AGAIN,
    SOMETHING_TO_DO,
    deployed_stage,
    failure,
    json_option,
    reporting_errors,
    stage_or_local_option,
)
from infra.ops.commands.forget import Erasure, wait_seconds
from infra.ops.screen.progress import bar, console, uses_json
from infra.ops.screen.summary import summarise, tabulate

INTERRUPTED = (
    "Interrupted. Some of it may be deleted already, but a running handler can still publish it again. "
    "Run the same command again: it continues."
)


@click.command("forget")
@stage_or_local_option
@json_option
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--prefix", "prefixes", multiple=True, help="All keys with this prefix.")
@click.option("--yes", is_flag=True, help="Do not ask to type the keys again.")
def forget_command(name: str, keys: tuple[str, ...], prefixes: tuple[str, ...], *, yes: bool) -> None:
    """Delete uploads permanently: every version, and everything that was made from them.

    Takes as long as a handler may run, so that nothing is published again. Ends with 3 if a key was uploaded
    again meanwhile: that upload stays.
    """
    wanted = [*(Wanted(key) for key in keys), *(Wanted(prefix, is_prefix=True) for prefix in prefixes)]
    if not all(one.text for one in wanted) or not wanted:
        raise click.UsageError("Name a key, or a --prefix. (To delete everything: `destroy --delete-data`.)")
    if uses_json() and not yes:
        raise click.UsageError("--json asks no questions: add --yes.")
    with deployed_stage(name) as place:
        erasure = Erasure(place, wanted)
        _show(erasure)
        if not yes:
            _ask(wanted)
        began = datetime.now(UTC)
        # If nothing was found, for instance because the key is mistyped, there is no handler to wait for.
        _forget(erasure, wait_seconds(place) if any(erasure.found) else 0)
        _print_record(erasure, began)
    if erasure.uploaded_again or erasure.messages_kept or erasure.has_unread_messages:
        sys.exit(SOMETHING_TO_DO)


def _show(erasure: Erasure) -> None:
    rows = [(use, *_columns(found)) for use, found in erasure.found._asdict().items()]
    console.print(f"keys {len(erasure.keys)}", highlight=False)
    tabulate(("bucket", "versions", "markers", "bytes", "the oldest, UTC", "the newest, UTC"), rows)


def _columns(found: Sequence[Version]) -> tuple[str, ...]:
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
        if click.prompt(f"Type the {what} to delete this permanently") != one.text:
            raise failure(f"That is a different {what}. Nothing was changed.")


def _forget(erasure: Erasure, seconds: int) -> None:
    try:
        with reporting_errors(RUN_AGAIN), bar("Seconds until nothing can come back", seconds) as advance:
            erasure.run(advance, seconds=seconds)
    except KeyboardInterrupt:
        raise failure(INTERRUPTED) from None


def _print_record(erasure: Erasure, began: datetime) -> None:
    """Print what was done, without any key: a record to keep with the request."""
    facts = {
        "objects": " ".join(_digests(erasure.keys)),
        "begun": began.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        **{f"versions removed, {use}": str(erasure.removed[use]) for use in Stored._fields},
        "messages removed": str(erasure.messages_removed),
        "messages kept because they also name other keys": str(erasure.messages_kept),
        "failure queue read to its end": "no: run it again" if erasure.has_unread_messages else "yes",
        "uploaded again, and kept": " ".join(_digests(erasure.uploaded_again)) or "none",
    }
    summarise("Forgotten." if any(erasure.found) else "Nothing was found.", facts)


def _digests(keys: set[str]) -> list[str]:
    return sorted(object_name(key, log_object_keys=False).digest for key in keys)
