"""`status`: the state of a stage on one screen, and what is left to do. Changes nothing."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.extraction import REVISION
from infra.ops.aws import inspection
from infra.ops.aws.failure_sample import Sample, peek
from infra.ops.aws.metrics import last_day
from infra.ops.aws.place import Place
from infra.ops.aws.revisions import NoRevisionError, deployed_revision
from infra.ops.aws.switch import Switch
from infra.ops.screen.findings import Finding, unknown

CAUSES = 6  # lines
RUNBOOK = "see Runbook in infra/README.md"
OUTCOMES = ("published", "unchanged", "malformed", "refused")


def status(place: Place) -> list[Finding]:
    """Run all checks of a stage."""
    return [run_check(name, place) for name in CHECKS]


def run_check(name: str, place: Place) -> Finding:
    """Run one check; its finding is `unknown` if AWS refuses to answer."""
    try:
        return CHECKS[name](place)
    except ClientError as error:
        return unknown(name, error.response["Error"]["Code"])
    except BotoCoreError as error:
        return unknown(name, type(error).__name__)


def _paused(place: Place) -> Finding:
    position = Switch(place).position()
    facts = position._asdict() | {"paused": position.paused}
    if position.paused:
        return Finding("paused", ["yes: nothing is published"], facts, f"make resume STAGE={place.stage}")
    way = "by a queue" if position.by_queue else "straight from S3"
    limit = "with no limit of their own"
    if position.at_once is not None:
        limit = f"at most {position.at_once} at once"
    return Finding("paused", [f"no; uploads come {way}, {limit}"], facts)


def _revision(place: Place) -> Finding:
    if Switch(place).position().at_once == 0:
        return unknown("revision", "a paused function does not answer")
    try:
        deployed = deployed_revision(place).revision
    except NoRevisionError as error:
        return unknown("revision", str(error))
    facts = {"deployed": deployed, "checkout": REVISION}
    if deployed == REVISION:
        return Finding("revision", [f"{deployed}, as in this checkout"], facts)
    lines = [f"{deployed} is deployed; this checkout has {REVISION}"]
    return Finding("revision", lines, facts, f"make deploy STAGE={place.stage}")


def _alarms(place: Place) -> Finding:
    number, ringing = inspection.alarms(place)
    facts = {"alarms": number, "ringing": list(ringing)}
    if ringing:
        return Finding("alarms", [f"{one}: {meaning}" for one, meaning in ringing.items()], facts, RUNBOOK)
    return Finding("alarms", [f"none of {number} rings" if number else "there are none"], facts)


def _failures(place: Place) -> Finding:
    sample = peek(place)
    if not sample.waiting:
        return Finding("failures", ["none"], {"waiting": 0})
    causes = Counter(one.cause for one in sample.messages)
    oldest = round(time.time() - min(one.sent for one in sample.messages)) if sample.messages else None
    facts = {"waiting": sample.waiting, "oldest_seconds": oldest, "why": dict(causes)}
    lines = [f"{sample.waiting} waiting, {_age(sample, oldest)}", *_most_common(causes)]
    return Finding("failures", lines, facts, f"make redrive STAGE={place.stage}")


def _age(sample: Sample, oldest: int | None) -> str:
    if oldest is None:
        return "none visible: another reader has received them"
    part = f" of {len(sample.messages)} looked at" if sample.is_partial else ""
    return f"the oldest{part} for {timedelta(seconds=oldest)}"


def _most_common(causes: Counter[str]) -> Iterator[str]:
    for cause, number in causes.most_common(CAUSES):
        yield f"{number}: {cause}"
    if len(causes) > CAUSES:
        yield f"and {len(causes) - CAUSES} other causes"


def _last_day(place: Place) -> Finding:
    day = last_day(place)
    invocations = f"{_number(day.failed)} invocations failed, {_number(day.throttled)} throttled"
    if day.uncounted:
        why = "the function has run, but CloudWatch has no metrics of what it did"
        counted = {"unknown": why, "failed": day.failed, "throttled": day.throttled}
        return Finding("last day", [f"unknown: {why}", invocations], counted)
    facts: dict[str, float | None] = day._asdict()
    outcomes = ", ".join(f"{_number(facts[name])} {name}" for name in OUTCOMES)
    lines = [
        f"{outcomes}, {_number(day.objects_failed)} failed",
        f"{_number(day.records_rejected)} records rejected, {invocations}",
    ]
    if day.p50_milliseconds is not None:
        p50, p99 = _number(day.p50_milliseconds), _number(day.p99_milliseconds)
        lines.append(f"an upload took {p50} ms (p50), {p99} ms (p99)")
    return Finding("last day", lines, facts)


def _number(value: float | None) -> str:
    return f"{value or 0:,.0f}"


def _logs(place: Place) -> Finding:
    retention = inspection.retention(place)
    kept = sorted({f"{days} days" if days else "for ever" for days in retention.values()})
    line = f"kept {' and '.join(kept)}" if kept else "there are none"
    return Finding("logs", [line], {"retention_days": retention})


def _settings(place: Place) -> Finding:
    found = inspection.settings(place)
    network = "in a VPC" if found.subnets else "no VPC"
    lines = [
        f"{found.memory_mb:,} MB, {found.timeout_seconds} s; {network}",
        f"encrypted by the KMS key {found.kms_key}" if found.kms_key else "encrypted by S3's own keys",
    ]
    if found.object_keys_in_log:
        lines.append("object keys are in the log")
    return Finding("settings", lines, found._asdict())


CHECKS: dict[str, Callable[[Place], Finding]] = {
    "paused": _paused,
    "revision": _revision,
    "alarms": _alarms,
    "failures": _failures,
    "last day": _last_day,
    "logs": _logs,
    "settings": _settings,
}
