"""Requests to publish many objects, from a replay or from S3 Batch Operations, and the response to each.

The state machine of a replay sends a batch (see `ItemBatcher` in the documentation of the Distributed Map).
The local cloud sends a single ITEM instead.

    {"Items": [ITEM, ...], "BatchInput": {...}}

An ITEM has `Key` and `LastModified` of a listing, and optionally
- `force`: publish again what is current,
- `scheduled`: the replay was started by a schedule,
- `created_after`, `created_before`: ignore the object if it was uploaded outside these times.
Times are seconds since 1970 or ISO 8601. `BatchInput` has the same fields, for all items.

S3 Batch Operations sends tasks and accepts three results
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html). No response has a key.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from chalicelib import log_events, safe_names, telemetry
from chalicelib.events import SUFFIX, Arrival
from chalicelib.extraction import REVISION

# Seconds after an upload in which its event is expected. By its documentation, S3 may take over a minute.
MAX_EVENT_DELAY = 15 * 60
# Fields of a log event that the response has, too.
REPORTED_FIELDS = ("extracted", "rejected", "bytes_read", "reason", "offset", "error")
BOOLEANS = {"true": True, "false": False, True: True, False: False}
# A retry does not help if an object is malformed or refused. The report of the job lists these failures.
RESULT_CODES = {"malformed": "PermanentFailure", "refused": "PermanentFailure", "failed": "TemporaryFailure"}

type Outcome = dict[str, str | int]
"""What became of an object: its digest, the outcome, and counts, a reason or an error."""

type Outcomes = Mapping[tuple[str, str], log_events.ObjectEvent]
"""The log event of each object (bucket, key)."""


class Item(NamedTuple):
    """One object of a batch. If `wanted` is false, it is ignored because of its key or its time."""

    arrival: Arrival
    wanted: bool
    task: str = ""
    scheduled: bool = False

    def outcome(self, outcomes: Outcomes) -> Outcome:
        """Return what became of it, without its key."""
        digest = safe_names.object_name(self.arrival.key, log_object_keys=False).digest
        if not self.wanted:
            return {"object": digest, "outcome": "ignored"}
        event = outcomes[self.arrival[:2]]
        counts = {name: getattr(event, name) for name in REPORTED_FIELDS if hasattr(event, name)}
        return {"object": digest, "outcome": type(event).__name__.removeprefix("Object").lower(), **counts}


class Batch(NamedTuple):
    """A request for many objects; None stands for an item that names no key. `answer` makes the response."""

    items: list[Item | None]
    answer: Callable[[Sequence[Item], Sequence[Outcome]], dict[str, Any]]


def read(event: Any, bucket: str) -> Batch | None:
    """Read a batch; None if the event is none. The objects of a replay are in `bucket`."""
    match event:
        case {"Items": [*items]}:
            common = event.get("BatchInput") or {}
            return Batch([_parsed(_item, item, common, bucket) for item in items], _answer_replay)
        case {"Key": _}:
            return Batch([_parsed(_item, event, {}, bucket)], _answer_replay)
        case {
            "invocationSchemaVersion": "1.0" | "2.0",
            "invocationId": _,
            "job": {} as job,
            "tasks": [*tasks],
        }:
            arguments = job.get("userArguments") or {}
            return Batch([_parsed(_task, task, arguments, "") for task in tasks], _answer_job(event))
    return None


def _parsed(parse: Callable[..., Item], *parts: Any) -> Item | None:
    try:
        item = parse(*parts)
        item.arrival.key.encode()  # raises for half a surrogate pair, which no key has
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    return item


def _item(item: Any, common: Any, bucket: str) -> Item:
    fields = {**common, **item}
    created = _timestamp(fields.get("LastModified", 0))
    after = _timestamp(fields.get("created_after", 0))
    before = _timestamp(fields.get("created_before", math.inf))
    size = int(fields["Size"]) if "Size" in fields else None
    arrival = Arrival(bucket, fields["Key"], created, size, replayed=True, force=_boolean(fields, "force"))
    wanted = arrival.key.endswith(SUFFIX) and after <= created < before
    return Item(arrival, wanted, scheduled=_boolean(fields, "scheduled"))


def _task(task: Any, arguments: Any, _: str) -> Item:
    bucket = task["s3Bucket"] if "s3Bucket" in task else task["s3BucketArn"].rpartition(":")[2]
    key = unquote_plus(task["s3Key"], errors="strict")
    # str() because it may be of any type. ForeignBucketError follows then.
    arrival = Arrival(str(bucket), key, replayed=True, force=_boolean(arguments, "force"))
    return Item(arrival, key.endswith(SUFFIX), task["taskId"])


def _boolean(fields: Any, name: str) -> bool:
    return BOOLEANS[fields.get(name, False)]


def _timestamp(when: Any) -> float:
    return datetime.fromisoformat(when).timestamp() if isinstance(when, str) else float(when)


def _answer_replay(items: Sequence[Item], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    late = time.time() - MAX_EVENT_DELAY
    repaired = [
        item
        for item, outcome in zip(items, outcomes, strict=True)
        if item.scheduled and outcome["outcome"] == "published" and item.arrival.uploaded < late
    ]
    if repaired:
        telemetry.emit(log_events.ObjectsRepaired(len(repaired)))
    return {"revision": REVISION, "outcomes": outcomes}


def _answer_job(event: Any) -> Callable[[Sequence[Item], Sequence[Outcome]], dict[str, Any]]:
    def answer(items: Sequence[Item], outcomes: Sequence[Outcome]) -> dict[str, Any]:
        results = [_result(item.task, outcome) for item, outcome in zip(items, outcomes, strict=True)]
        repeated = {name: event[name] for name in ("invocationSchemaVersion", "invocationId")}
        return {**repeated, "treatMissingKeysAs": "TemporaryFailure", "results": results}

    return answer


def _result(task: str, outcome: Outcome) -> dict[str, str]:
    code = RESULT_CODES.get(str(outcome["outcome"]), "Succeeded")
    return {"taskId": task, "resultCode": code, "resultString": json.dumps(outcome)}
