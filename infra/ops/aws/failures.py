"""The failure queue, looked into: how many events wait there, since when, and why. Nothing is taken out.

Of what a record says about the error, only what our own code has worded is shown, and names of errors: any
other words may quote an upload.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3

from chalicelib.events import arrivals
from infra.ops.aws.place import Place

LOOKED_AT = 500  # messages at most
WAIT = 1  # second; without any, SQS asks only some of its servers
HIDDEN_FOR = 5  # seconds at most: a message that is looked at is hidden from others
# Why Lambda gives up an event, other than for an error.
CONDITIONS = {
    "EventAgeExceeded": "waited too long for its turn",
    "ZeroReservedConcurrency": "came while the stage was paused",
}
FAILED = "failed; the log says why"
GIVEN_UP = "given up by the queue of uploads; the log says why"
NOT_UNDERSTOOD = "not understood: not an event, nor Lambda's record of one"
# The message of UploadsFailedError: for each upload a digest of its key, and the cause.
OURS = re.compile(r"\d+ of \d+ uploads: ")
CAUSE = re.compile(r"[0-9a-f]{16} ([ -:<-~]{1,120})|(unreadable record)")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,80}")


class Failure(NamedTuple):
    """An event that waits: why it failed, since when (seconds since 1970), and the objects that it names."""

    why: str
    since: float
    objects: frozenset[tuple[str, str]]


class FailureQueue:
    """The failure queue of a stage."""

    def __init__(self, place: Place) -> None:
        self._sqs: Any = boto3.client("sqs", region_name=place.region)
        self._queue = {"QueueUrl": self._sqs.get_queue_url(QueueName=place.failure_queue)["QueueUrl"]}

    def depth(self) -> int:
        """Count what waits, about: what somebody is just looking at included."""
        answer = self._sqs.get_queue_attributes(**self._queue, AttributeNames=["All"])
        counts = [
            int(count) for name, count in answer["Attributes"].items() if name.startswith("ApproximateNumber")
        ]
        return sum(counts)

    def peek(self) -> list[Failure]:
        """Look at what waits, up to LOOKED_AT of them; for moments, nobody else sees them."""
        seen: dict[str, Any] = {}
        deadline = time.monotonic() + HIDDEN_FOR
        try:
            while len(seen) < LOOKED_AT and time.monotonic() < deadline:
                new = {one["MessageId"]: one for one in self._receive() if one["MessageId"] not in seen}
                if not new:
                    break
                seen |= new
        finally:
            self._show(seen)
        return [failure(one) for one in seen.values()]

    def _receive(self) -> list[Any]:
        answer = self._sqs.receive_message(
            **self._queue,
            AttributeNames=["SentTimestamp"],
            MaxNumberOfMessages=10,
            VisibilityTimeout=HIDDEN_FOR,
            WaitTimeSeconds=WAIT,
        )
        return list(answer.get("Messages", []))

    def _show(self, messages: dict[str, Any]) -> None:
        receipts = [one["ReceiptHandle"] for one in messages.values()]
        for first in range(0, len(receipts), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[first : first + 10])
            ]
            # One that is in sight by itself is refused in the answer, and that is well.
            self._sqs.change_message_visibility_batch(**self._queue, Entries=entries)


def failure(message: Any) -> Failure:
    """Read a message of the queue, whatever is in it."""
    since = int(message["Attributes"]["SentTimestamp"]) / 1000
    try:
        record = json.loads(message["Body"])
    except (ValueError, RecursionError):
        return Failure(NOT_UNDERSTOOD, since, frozenset())
    return Failure(_why(record), since, frozenset(one[:2] for one in arrivals(record) if one))


def _why(record: Any) -> str:
    match record:
        case {"requestContext": {"condition": str(condition)}} if condition in CONDITIONS:
            return CONDITIONS[condition]
        case {"responsePayload": {**error}}:
            return _named(str(error.get("errorType")), str(error.get("errorMessage")))
        case {"Records": [_, *_]} | {"detail": _}:
            return GIVEN_UP
        case {"requestPayload": _}:
            return FAILED
    return NOT_UNDERSTOOD


def _named(error: str, words: str) -> str:
    if OURS.match(words):
        return "; ".join(sorted(set(_causes(words)))) or error
    if "Task timed out after" in words:
        return "timed out"
    return error if NAME.fullmatch(error) and error != "None" else FAILED


def _causes(words: str) -> Iterator[str]:
    for cause, unreadable in CAUSE.findall(words):
        yield re.sub(r" after \d+ bytes$", "", cause) or unreadable
