"""`status KEY`: what happened to one object, without any content of its records. Changes nothing."""

import json
import shlex
import time
from collections.abc import Iterator
from datetime import timedelta

from botocore.exceptions import ClientError
from rich.filesize import decimal

from chalicelib.events import SUFFIX
from chalicelib.safe_names import object_name
from infra.ops.aws.failure_sample import peek
from infra.ops.aws.history import SHOWN, History, Published, read_history
from infra.ops.aws.place import Place
from infra.ops.aws.reports import FIRST, Report
from infra.ops.aws.versions import Version
from infra.ops.commands.status import run_check
from infra.ops.errors import OperatorError
from infra.ops.screen.findings import Finding, unknown
from infra.ops.screen.numbers import counted


class UnknownObjectError(OperatorError):
    """There is no object with that key."""


def object_history(place: Place, key: str) -> list[Finding]:
    """Tell what happened to the object with a key. Raises UnknownObjectError."""
    history = read_history(place, key)
    if not (history.versions or history.published):
        raise UnknownObjectError("There is no such object: no version of it, and nothing is published.")
    revision = run_check("revision", place)._replace(todo="")
    # None if the function cannot say it: then any revision counts as the deployed one.
    deployed = revision.facts.get("deployed")
    why_not = _why_not(history, key, deployed)
    waiting = _waiting(place, key)
    # An event that waits in the failure queue is published by a redrive.
    todo = "" if why_not or _is_current(history, deployed) else waiting.todo or _replay(place, key)
    published = _published(history, why_not, deployed)._replace(todo=todo)
    return [_uploads(history), published, _rejected(history, deployed), revision, waiting, _log(place, key)]


def _is_current(history: History, deployed: str | None) -> bool:
    """Say whether the current version is published, by the deployed revision: as `reconcile` does."""
    published, current = history.published, history.current
    if published is None or current is None or published.version != current.source:
        return False
    return _is_deployed(published.revision, deployed)


def _is_deployed(revision: str | None, deployed: str | None) -> bool:
    return deployed is None or revision == deployed


def _uploads(history: History) -> Finding:
    lines = [_describe(one) for one in history.versions] or ["no version is left"]
    if len(history.versions) == SHOWN:
        lines.append("there may be older ones")
    facts = [
        {"version": one.source, "at": one.modified.isoformat(), "bytes": _size(one)}
        for one in history.versions
    ]
    return Finding("uploads", lines, {"versions": facts})


def _describe(version: Version) -> str:
    size = _size(version)
    text = "deleted" if size is None else decimal(size)
    return f"{version.modified:%Y-%m-%d %H:%M}  {text:9}  {version.source}"


def _size(version: Version) -> int | None:
    return None if version.is_marker else version.size


def _published(history: History, why_not: str, deployed: str | None) -> Finding:
    published, because = history.published, why_not and f": {why_not}"
    if published is None:
        return Finding("published", [f"nothing{because}"], {"published": None, "why_not": why_not})
    lines = list(_origin(published, deployed))
    if not _is_current(history, deployed):
        lines.append(f"That is not current{because}.")
    facts = published._asdict() | {"at": published.at.isoformat()}
    return Finding("published", lines, {"published": facts, "why_not": why_not})


def _origin(published: Published, deployed: str | None) -> Iterator[str]:
    yield f"{published.at:%Y-%m-%d %H:%M}  {counted(published.records, 'record')}, {decimal(published.size)}"
    yield f"from {published.version}"
    yield _by(published.revision, deployed)


def _by(revision: str | None, deployed: str | None) -> str:
    note = "" if _is_deployed(revision, deployed) else ", which is not deployed now"
    return f"by revision {revision}{note}"


def _why_not(history: History, key: str, deployed: str | None) -> str:
    """Say why the current version is not to be published; empty if it is."""
    if not key.endswith(SUFFIX):
        return f"its name does not end in {SUFFIX}"
    if history.current is None:
        return "the upload was deleted"
    if history.current.size == 0:
        return "it has 0 bytes"
    if history.refused_by is None or not _is_deployed(history.refused_by, deployed):
        return ""
    is_malformed = history.report and history.report.malformed
    return "it is malformed" if is_malformed else "none of its records is valid"


def _rejected(history: History, deployed: str | None) -> Finding:
    report = history.report or Report({})
    lines, facts = list(_reasons(report)), _facts(report)
    if history.refused_by is not None:
        lines.append(_by(history.refused_by, deployed))
    return Finding("rejected", lines or ["nothing"], facts)


def _reasons(report: Report) -> Iterator[str]:
    if report.malformed:
        yield f"malformed: {report.malformed}, at byte {report.offset:,}"
    for reason, (records, first) in report.reasons.items():
        more = ", …" if records > FIRST else ""
        yield f"{records:,}: {reason} (index {', '.join(map(str, first))}{more})"


def _facts(report: Report) -> dict[str, object]:
    if report.malformed:
        return {"malformed": report.malformed, "offset": report.offset}
    return {"reasons": {reason: one._asdict() for reason, one in report.reasons.items()}}


def _waiting(place: Place, key: str) -> Finding:
    try:
        sample = peek(place)
    except ClientError as error:
        return unknown("failures", error.response["Error"]["Code"])
    wanted = (place.buckets.raw, key)
    ours = [one for one in sample.messages if wanted in {name[:2] for name in one.names}]
    if not ours:
        part = f"the {len(sample.messages)} looked at of " if sample.is_partial else "the "
        return Finding("failures", [f"not among {part}{sample.waiting} waiting"], {"waiting": 0})
    lines = [f"waiting for {timedelta(seconds=round(time.time() - one.sent))}: {one.cause}" for one in ours]
    facts = {"waiting": len(ours), "why": [one.cause for one in ours]}
    return Finding("failures", lines, facts, f"make redrive STAGE={place.stage}")


def _log(place: Place, key: str) -> Finding:
    digest = object_name(key, log_object_keys=False).digest
    search = (
        f"aws logs filter-log-events --region {place.region} --log-group-name /aws/lambda/{place.function} "
        f"--filter-pattern '{{ $.object.digest = \"{digest}\" }}'"
    )
    return Finding("log", [f"as {digest}"], {"digest": digest, "search": search}, copyable=search)


def _replay(place: Place, key: str) -> str:
    line = shlex.quote(json.dumps({"key": key}))  # stays one line, whatever the key contains
    return f"printf '%s\\n' {line} | python -m infra.ops replay --stage {place.stage} --files-from -"
