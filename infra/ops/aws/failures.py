"""The failure queue: events that Lambda or SQS gave up.

Lambda sends a record of the failure, with the event inside. SQS sends the bare event, if uploads come by an
upload queue. AWS's own redrive does not support a queue that Lambda writes to.
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
from infra.ops.aws.queues import depth

VISIBILITY_TIMEOUT = 60  # seconds; if the receiver is killed, its messages are visible again after that
WAIT = 1  # second; a receive call without a wait queries only some of SQS's servers
AT_ONCE = 10  # messages; SQS returns no more in one call
# The error message of `data-processor`: for each upload the digest of its key, then error name and code.
UPLOADS_FAILED = re.compile(r"\d+ of \d+ uploads: ")
CAUSE = re.compile(r"\b[0-9a-f]{16} (\w+(?: \w+: \w+)?)")
ERROR_NAME = re.compile(r"[\w.]+")
# Lambda's conditions for giving up an event before its last attempt.
CONDITIONS = {
    "EventAgeExceeded": "expired before Lambda could run it",
    "ZeroReservedConcurrency": "came while the stage was paused",
}
UNKNOWN = "unknown; the log says why"


class Message(NamedTuple):
    """A message of the failure queue.

    `sent` is in seconds since 1970. `cause` never contains a key. `event` is what Lambda is to receive again,
    `names` the objects in it; both are empty if the message holds no event of this application.
    """

    id: str
    receipt: str
    sent: float
    cause: str
    event: bytes
    names: frozenset[Arrival]


class FailureQueue:
    """A stage's failure queue. On exit, messages that were received and not deleted become visible again."""

    def __init__(self, place: Place, visibility_timeout: int | None = None) -> None:
        self._visibility_timeout = visibility_timeout or VISIBILITY_TIMEOUT
        self._sqs: Any = boto3.client("sqs", region_name=place.region)
        found = self._sqs.get_queue_url(QueueName=place.failure_queue)
        self._queue = {"QueueUrl": found["QueueUrl"]}
        self._began = _time_at(found["ResponseMetadata"]["HTTPHeaders"]["date"])
        self._receipts: dict[str, str] = {}
        self._seen: set[str] = set()
        self.later: set[str] = set()
        """Ids of messages that were sent after reading began. Events that failed again are among them."""
        self.drained = False
        """Whether the last receive call returned nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for receipt in self._receipts.values():
            self._release(receipt)

    def __len__(self) -> int:
        """Return how many messages the queue holds, hidden ones too, by SQS's estimate."""
        return depth(self._sqs, self._queue["QueueUrl"])

    def batches(self, limit: int | None = None) -> Iterator[list[Message]]:
        """Yield each message once, with at most `limit` events in all. Skip messages that were sent later.

        The iterator ends when a receive call returns no new message. If failing events return to the queue
        all the time, some messages may remain; the next run finds them.
        """
        left = sys.maxsize if limit is None else limit
        while left > 0 and (batch := self._receive_new(min(AT_ONCE, left))):
            left -= sum(1 for message in batch if message.event)
            yield batch

    def delete(self, message: Message) -> None:
        """Delete a message from the queue."""
        self._sqs.delete_message(**self._queue, ReceiptHandle=message.receipt)
        del self._receipts[message.id]

    def _receive_new(self, number: int) -> list[Message]:
        answer = self._sqs.receive_message(
            **self._queue,
            MaxNumberOfMessages=number,
            VisibilityTimeout=self._visibility_timeout,
            WaitTimeSeconds=WAIT,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        received = [_message(raw) for raw in answer.get("Messages", [])]
        self.drained = not received
        self._receipts |= {message.id: message.receipt for message in received}
        self.later |= {message.id for message in received if message.sent >= self._began}
        unseen = [one for one in received if one.id not in self._seen | self.later]
        self._seen |= {message.id for message in unseen}
        return unseen

    def _release(self, receipt: str) -> None:
        with suppress(ClientError):  # its visibility timeout has ended already
            self._sqs.change_message_visibility(**self._queue, ReceiptHandle=receipt, VisibilityTimeout=0)


def _time_at(date: str) -> float:
    """Return AWS's time, whose resolution is a second. Take the fraction from our clock if the two agree."""
    second = parsedate_to_datetime(date).timestamp()
    return max(second, min(time.time(), second + 1))


def _message(raw: dict[str, Any]) -> Message:
    sent = int(raw["Attributes"]["SentTimestamp"]) / 1000
    return Message(raw["MessageId"], raw["ReceiptHandle"], sent, *parse(raw["Body"]))


def parse(body: str) -> tuple[str, bytes, frozenset[Arrival]]:
    """Parse the body of any message; returns cause, event and the objects in the event."""
    try:
        record = json.loads(body, parse_constant=_refuse)
        event = record.get("requestPayload", record) if isinstance(record, dict) else record
        payload = json.dumps(event, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return "not JSON that Lambda accepts", b"", frozenset()
    names = frozenset(filter(None, arrivals(event)))
    return (_cause(record), payload, names) if names else ("names no object", b"", names)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN or Infinity


def _cause(record: Any) -> str:
    """Return why an event failed. Use only names of errors: an error's message may quote a key."""
    match record:
        case {"requestPayload": _, "requestContext": {"condition": str(why)}} if why in CONDITIONS:
            return CONDITIONS[why]
        case {"requestPayload": _, "responsePayload": {**error}}:
            return _error_name(str(error.get("errorType")), str(error.get("errorMessage")))
        case {"requestPayload": _}:
            return UNKNOWN
    return "given up by SQS"


def _error_name(error: str, message: str) -> str:
    if UPLOADS_FAILED.match(message):
        return ", ".join(sorted(set(CAUSE.findall(message)))) or "unreadable record"
    if "Task timed out after" in message:
        return "timed out"
    return error if ERROR_NAME.fullmatch(error) and error != "None" else UNKNOWN
