"""The failure queue: events that could not be handled, as Lambda or SQS put them there.

Lambda sends a record of how an event failed, with the event inside. SQS, where it stands between S3 and the
function, sends the event as it is. AWS's own redrive does not take a queue that Lambda feeds.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

import boto3
from botocore.exceptions import ClientError

from chalicelib.events import Arrival, arrivals
from infra.ops.aws.place import Place

HIDDEN = 60  # seconds that a message stays out of sight, should whoever received it be killed
WAIT = 1  # second; without any, SQS asks only some of its servers
AT_ONCE = 10  # messages: SQS gives no more
# What the function says of uploads that failed: the digest of each key, then an error, by name and code.
OURS = re.compile(r"\d+ of \d+ uploads: ")
CAUSE = re.compile(r"\b[0-9a-f]{16} (\w+(?: \w+: \w+)?)")
ERROR_NAME = re.compile(r"[\w.]+")
# Why Lambda gives up an event that it has not, or not often enough, tried.
CONDITIONS = {
    "EventAgeExceeded": "waited too long for its turn",
    "ZeroReservedConcurrency": "came while the stage was paused",
}
UNKNOWN = "unknown; the log says why"


class Waiting(NamedTuple):
    """A message, when it was sent (in seconds since 1970) and why it is here, in words without a key.

    `event` is what Lambda is to be sent again, `names` what it names; empty where that is nothing of ours.
    """

    id: str
    receipt: str
    sent: float
    cause: str
    event: bytes
    names: frozenset[Arrival]


class FailureQueue:
    """A stage's failure queue. What is received from it and not deleted is in sight again at the end."""

    def __init__(self, place: Place, hidden: int | None = None) -> None:
        self._hidden = hidden or HIDDEN
        self._sqs: Any = boto3.client("sqs", region_name=place.region)
        found = self._sqs.get_queue_url(QueueName=place.failure_queue)
        self._queue = {"QueueUrl": found["QueueUrl"]}
        self._began = _time_at(found["ResponseMetadata"]["HTTPHeaders"]["date"])
        self._receipts: dict[str, str] = {}
        self._seen: set[str] = set()
        self.later: set[str] = set()
        """Messages that came while these were read: what failed again is among them."""
        self.drained = False
        """Whether SQS had nothing more to show at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for receipt in self._receipts.values():
            self._show(receipt)

    def __len__(self) -> int:
        """How many messages wait, by SQS's own estimate."""
        name = "ApproximateNumberOfMessages"
        found = self._sqs.get_queue_attributes(**self._queue, AttributeNames=[name])
        return int(found["Attributes"][name])

    def batches(self, limit: int | None = None) -> Iterator[list[Waiting]]:
        """Receive each message once, with at most `limit` events, but for those that came meanwhile.

        It ends where SQS answers with nothing new. What is left then, of a queue that keeps coming back, is
        for the next time.
        """
        left = sys.maxsize if limit is None else limit
        while left > 0 and (batch := self._new(min(AT_ONCE, left))):
            left -= sum(1 for message in batch if message.event)
            yield batch

    def delete(self, message: Waiting) -> None:
        """Remove a message for good."""
        self._sqs.delete_message(**self._queue, ReceiptHandle=message.receipt)
        del self._receipts[message.id]

    def _new(self, number: int) -> list[Waiting]:
        answer = self._sqs.receive_message(
            **self._queue,
            MaxNumberOfMessages=number,
            VisibilityTimeout=self._hidden,
            WaitTimeSeconds=WAIT,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        received = [_waiting(message) for message in answer.get("Messages", [])]
        self.drained = not received
        self._receipts |= {message.id: message.receipt for message in received}
        self.later |= {message.id for message in received if message.sent >= self._began}
        unseen = [one for one in received if one.id not in self._seen | self.later]
        self._seen |= {message.id for message in unseen}
        return unseen

    def _show(self, receipt: str) -> None:
        with suppress(ClientError):  # by now it is in sight by itself
            self._sqs.change_message_visibility(**self._queue, ReceiptHandle=receipt, VisibilityTimeout=0)


def _time_at(date: str) -> float:
    """Say when it was by AWS's clock, which tells seconds; our own tells the fraction, if it is right."""
    second = parsedate_to_datetime(date).timestamp()
    return max(second, min(time.time(), second + 1))


def _waiting(message: dict[str, Any]) -> Waiting:
    sent = int(message["Attributes"]["SentTimestamp"]) / 1000
    return Waiting(message["MessageId"], message["ReceiptHandle"], sent, *read(message["Body"]))


def read(body: str) -> tuple[str, bytes, frozenset[Arrival]]:
    """Read a message, whatever is in it: why it is here, the event, and what that names."""
    try:
        record = json.loads(body, parse_constant=_refuse)
        event = record.get("requestPayload", record) if isinstance(record, dict) else record
        payload = json.dumps(event, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return "no JSON that Lambda takes", b"", frozenset()
    names = frozenset(filter(None, arrivals(event)))
    return (_cause(record), payload, names) if names else ("names no object", b"", names)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN or Infinity


def _cause(record: Any) -> str:
    """Say why an event failed: by names of errors alone, for words may quote a key."""
    match record:
        case {"requestPayload": _, "requestContext": {"condition": str(why)}} if why in CONDITIONS:
            return CONDITIONS[why]
        case {"requestPayload": _, "responsePayload": {**said}}:
            return _named(str(said.get("errorType")), str(said.get("errorMessage")))
        case {"requestPayload": _}:
            return UNKNOWN
    return "given up by SQS"


def _named(error: str, words: str) -> str:
    if OURS.match(words):
        return ", ".join(sorted(set(CAUSE.findall(words)))) or "unreadable record"
    if "Task timed out after" in words:
        return "timed out"
    return error if ERROR_NAME.fullmatch(error) and error != "None" else UNKNOWN
