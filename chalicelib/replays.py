"""What asks for many objects at once, and is told what became of each: a replay, and S3 Batch Operations.

A replay's state machine sends a batch (`ItemBatcher` in the documentation of the Distributed Map), or a
single item alone, as the local cloud does:

    {"Items": [ITEM, ...], "BatchInput": {...}}

ITEM is what a listing says of an object, `Key` and `LastModified` (seconds since 1970, or a time), with
`force` to publish anew what is current, `scheduled` for a run that nobody started, and `created_after` and
`created_before` (seconds, or times) to leave other objects alone. `BatchInput` says the same of every item.

S3 Batch Operations sends tasks and knows three results
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html). No answer has a key.
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

# Seconds after which the event of an upload is late: S3 says that it can take a minute or longer.
EXPECTED_WITHIN = 15 * 60
TOLD = ("extracted", "rejected", "bytes_read", "reason", "offset", "error")
SWITCHES = {"true": True, "false": False, True: True, False: False}
# Malformed and refused ones are failures that no retry mends: the job's report lists them.
RESULTS = {"malformed": "PermanentFailure", "refused": "PermanentFailure", "failed": "TemporaryFailure"}

type Outcome = dict[str, str | int]
"""What became of an object: its digest, the outcome, and counts or a reason."""

type Outcomes = Mapping[tuple[str, str], log_events.ObjectEvent]
"""What became of every (bucket, key)."""


class Item(NamedTuple):
    """One object of a batch; `wanted` is false where it is left alone, because of its name or its time."""

    arrival: Arrival
    wanted: bool
    task: str = ""
    scheduled: bool = False

    def outcome(self, outcomes: Outcomes) -> Outcome:
        """Say what became of it, without its key."""
        digest = safe_names.object_name(self.arrival.key, log_object_keys=False).digest
        if not self.wanted:
            return {"object": digest, "outcome": "ignored"}
        event = outcomes[self.arrival[:2]]
        counts = {name: getattr(event, name) for name in TOLD if hasattr(event, name)}
        return {"object": digest, "outcome": type(event).__name__.removeprefix("Object").lower(), **counts}


class Batch(NamedTuple):
    """Objects that are asked for; None stands for what names none. `answer` is what their sender expects."""

    items: list[Item | None]
    answer: Callable[[Sequence[Item], Sequence[Outcome]], dict[str, Any]]


def read(event: Any, bucket: str) -> Batch | None:
    """Read a batch; a replay's is about objects of `bucket`. None: the event is something else."""
    match event:
        case {"Items": [*items]}:
            common = event.get("BatchInput") or {}
            return Batch([_understood(_item, item, common, bucket) for item in items], _answer_replay)
        case {"Key": _}:
            return Batch([_understood(_item, event, {}, bucket)], _answer_replay)
        case {
            "invocationSchemaVersion": "1.0" | "2.0",
            "invocationId": _,
            "job": {} as job,
            "tasks": [*tasks],
        }:
            arguments = job.get("userArguments") or {}
            return Batch([_understood(_task, task, arguments, "") for task in tasks], _answer_job(event))
    return None


def _understood(read_one: Callable[..., Item], *parts: Any) -> Item | None:
    try:
        item = read_one(*parts)
        item.arrival.key.encode()  # half a surrogate pair names nothing
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    return item


def _item(item: Any, common: Any, bucket: str) -> Item:
    asked = {**common, **item}
    created = _seconds(asked.get("LastModified", 0))
    after, before = _seconds(asked.get("created_after", 0)), _seconds(asked.get("created_before", math.inf))
    size = int(asked["Size"]) if "Size" in asked else None
    arrival = Arrival(bucket, asked["Key"], created, size, replayed=True, force=_switch(asked, "force"))
    wanted = arrival.key.endswith(SUFFIX) and after <= created < before
    return Item(arrival, wanted, scheduled=_switch(asked, "scheduled"))


def _task(task: Any, arguments: Any, _: str) -> Item:
    bucket = task["s3Bucket"] if "s3Bucket" in task else task["s3BucketArn"].rpartition(":")[2]
    key = unquote_plus(task["s3Key"], errors="strict")
    # str: of whatever it is, to be refused as foreign.
    arrival = Arrival(str(bucket), key, replayed=True, force=_switch(arguments, "force"))
    return Item(arrival, key.endswith(SUFFIX), task["taskId"])


def _switch(asked: Any, name: str) -> bool:
    return SWITCHES[asked.get(name, False)]


def _seconds(when: Any) -> float:
    return datetime.fromisoformat(when).timestamp() if isinstance(when, str) else float(when)


def _answer_replay(items: Sequence[Item], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    late = time.time() - EXPECTED_WITHIN
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
        same = {name: event[name] for name in ("invocationSchemaVersion", "invocationId")}
        return {**same, "treatMissingKeysAs": "TemporaryFailure", "results": results}

    return answer


def _result(task: str, outcome: Outcome) -> dict[str, str]:
    code = RESULTS.get(str(outcome["outcome"]), "Succeeded")
    return {"taskId": task, "resultCode": code, "resultString": json.dumps(outcome)}
