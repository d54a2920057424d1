"""`status KEY`: what became of one object, without a word of its records. Changes nothing."""

import json
import shlex
import time
from collections.abc import Iterator
from datetime import timedelta

from botocore.exceptions import ClientError
from rich.filesize import decimal

from chalicelib.events import SUFFIX
from chalicelib.extraction import REVISION
from chalicelib.telemetry import object_name
from infra.ops.aws.failure_sample import peek
from infra.ops.aws.history import SHOWN, History, Published, read_history
from infra.ops.aws.place import Place
from infra.ops.aws.reports import FIRST, Report
from infra.ops.aws.versions import Version
from infra.ops.errors import OperatorError
from infra.ops.screen.findings import Finding, unknown


class UnknownObjectError(OperatorError):
    """There is nothing of that key."""


def tell_story(place: Place, key: str) -> list[Finding]:
    """Tell what became of the object under a key; raises UnknownObjectError."""
    trail = read_history(place, key)
    if not (trail.versions or trail.published):
        raise UnknownObjectError("There is no such object: no version of it, and nothing is published.")
    why_not = _why_not(trail, key)
    waiting = _waiting(place, key)
    # What waits in the queue, a redrive publishes.
    todo = "" if why_not or _is_published(trail) else waiting.todo or _replay(place, key)
    published = _published(trail, why_not)._replace(todo=todo)
    return [_uploads(trail), published, _rejected(trail), waiting, _log(place, key)]


def _is_published(trail: History) -> bool:
    made, current = trail.published, trail.current
    return made is not None and current is not None and made.version == current.source


def _uploads(trail: History) -> Finding:
    words = [_worded(one) for one in trail.versions] or ["no version is left"]
    if len(trail.versions) == SHOWN:
        words.append("and, maybe, older ones")
    facts = [
        {"version": one.source, "at": one.modified.isoformat(), "bytes": _size(one)} for one in trail.versions
    ]
    return Finding("uploads", words, {"versions": facts})


def _worded(version: Version) -> str:
    size = _size(version)
    words = "deleted" if size is None else decimal(size)
    return f"{version.modified:%Y-%m-%d %H:%M}  {words:9}  {version.source}"


def _size(version: Version) -> int | None:
    return None if version.is_marker else version.size


def _published(trail: History, why_not: str) -> Finding:
    published, because = trail.published, why_not and f": {why_not}"
    if published is None:
        return Finding("published", [f"nothing{because}"], {"published": None, "why_not": why_not})
    words = list(_made(published))
    if not _is_published(trail):
        words.append(f"That is not what is current{because}.")
    facts = published._asdict() | {"at": published.at.isoformat()}
    return Finding("published", words, {"published": facts, "why_not": why_not})


def _made(published: Published) -> Iterator[str]:
    yield f"{published.at:%Y-%m-%d %H:%M}  {published.records:,} records, {decimal(published.size)}"
    yield f"from {published.version}"
    other = "" if published.revision == REVISION else f"; this checkout has {REVISION}"
    yield f"by revision {published.revision}{other}"


def _why_not(trail: History, key: str) -> str:
    """Say why nothing is to be published of what is current; empty if it is to be."""
    if not key.endswith(SUFFIX):
        return f"its name does not end in {SUFFIX}"
    if trail.current is None:
        return "the upload was deleted"
    if trail.current.size == 0:
        return "it has 0 bytes, which is nothing yet"
    if trail.report and trail.report.malformed:
        return "it is malformed"
    return "none of its records is valid" if trail.refused else ""


def _rejected(trail: History) -> Finding:
    report = trail.report or Report({})
    if report.malformed:
        words = [f"malformed: {report.malformed}, at byte {report.offset:,}"]
        return Finding("rejected", words, {"malformed": report.malformed, "offset": report.offset})
    words = []
    for reason, (records, first) in report.reasons.items():
        more = ", …" if records > FIRST else ""
        words.append(f"{records:,}: {reason} (index {', '.join(map(str, first))}{more})")
    facts = {reason: one._asdict() for reason, one in report.reasons.items()}
    return Finding("rejected", words or ["nothing"], {"reasons": facts})


def _waiting(place: Place, key: str) -> Finding:
    try:
        look = peek(place)
    except ClientError as error:
        return unknown("failures", error.response["Error"]["Code"])
    named = (place.buckets.raw, key)
    ours = [one for one in look.messages if named in {name[:2] for name in one.names}]
    if not ours:
        sample = f"the {len(look.messages)} looked at of " if look.is_partial else "the "
        return Finding("failures", [f"not among {sample}{look.waiting} waiting"], {"waiting": 0})
    words = [f"waiting for {timedelta(seconds=round(time.time() - one.sent))}: {one.cause}" for one in ours]
    facts = {"waiting": len(ours), "why": [one.cause for one in ours]}
    return Finding("failures", words, facts, f"make redrive STAGE={place.stage}")


def _log(place: Place, key: str) -> Finding:
    digest = object_name(key, log_object_keys=False).digest
    search = (
        f"aws logs filter-log-events --region {place.region} --log-group-name /aws/lambda/{place.function} "
        f"--filter-pattern '{{ $.object.digest = \"{digest}\" }}'"
    )
    return Finding("log", [f"as {digest}"], {"digest": digest, "search": search}, line=search)


def _replay(place: Place, key: str) -> str:
    line = shlex.quote(json.dumps({"key": key}))  # whatever is in it, one line
    return f"printf '%s\\n' {line} | python -m infra.ops replay --stage {place.stage} --files-from -"
