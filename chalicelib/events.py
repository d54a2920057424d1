"""What wakes the function: S3's events, by whichever way they come, read as the keys that they name.

S3 notifies Lambda directly, or by way of EventBridge, SNS or SQS. An event that failed comes back from the
failure queue inside the record that Lambda put there. Each way wraps the same few facts
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html). Nothing else is understood, and nothing
that is not understood is passed over.
"""

import json
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

# What S3 is to tell, of keys with this ending.
SUFFIX = ".json"
CHANGES_OF_WHAT_IS_CURRENT = [
    "s3:ObjectCreated:*",
    # A version, or a delete marker, is removed for good: what stood below it is current now. AWS documents
    # this for versions; that it is so for markers, too, is what `verify` tries on every stage.
    "s3:ObjectRemoved:Delete",
    # From an archive: only now can it be read.
    "s3:ObjectRestore:Completed",
]

# A failure of an SQS message with an SNS message with a notification in it is as deep as it gets.
DEEPEST = 6
# Bytes that an object may have to be small: it is read in one go, and held beside others.
SMALL = 1024 * 1024


class Arrival(NamedTuple):
    """A key that an event names; the key as it is, not as events encode it.

    `uploaded` is when an object was uploaded there, in seconds since 1970, and `size` is in bytes; 0 and None
    if the event is about something else, or does not say. `replayed` says that somebody asks for the object,
    not that it was just uploaded; `force`, that it is to be published though it is current.
    """

    bucket: str
    key: str
    uploaded: float = 0
    size: int | None = None
    replayed: bool = False
    force: bool = False

    @property
    def small(self) -> bool:
        """Whether the object was small when the event was sent; another may stand there now."""
        return self.size is not None and self.size <= SMALL


def arrivals(event: Any) -> list[Arrival | None]:
    """Read which keys an event names, in its order; None stands for each part that names none.

    `s3:TestEvent`, which S3 sends to a new queue or topic, is the one event that rightly names nothing.
    """
    return _arrivals(event, DEEPEST)


def _arrivals(event: Any, deepest: int) -> list[Arrival | None]:
    try:
        inside = _unwrapped(event) if deepest else None
        if inside is None:
            return [_arrival(event)]
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        return [None]
    return [arrival for one in inside for arrival in _arrivals(one, deepest - 1)]


def _unwrapped(event: Any) -> list[Any] | None:
    """Take the events out of their envelope; None if there is none."""
    match event:
        case {"Records": [_, *_] as records}:
            return list(records)
        case {"Event": "s3:TestEvent"}:
            return []
        case {"eventSource": "aws:sqs", "body": str(body)}:
            return [json.loads(body)]
        case {"Sns": {"Message": str(message)}} | {"Type": "Notification", "Message": str(message)}:
            return [json.loads(message)]
        case {"requestContext": {"functionArn": _}, "requestPayload": failed}:
            return [failed]
    return None


def _arrival(event: Any) -> Arrival:
    """Read one event of S3; raises an error of any kind where it is none."""
    if "detail" in event:
        about, what, when = event["detail"], event["detail-type"], event["time"]
        key = about["object"]["key"]
    else:
        about, what, when = event["s3"], event.get("eventName", ""), event.get("eventTime", "")
        # Strictly: with U+FFFD for what is not UTF-8, it would be the key of some other object.
        key = unquote_to_bytes(about["object"]["key"].replace("+", " ")).decode()
    key.encode()  # half a surrogate pair names nothing
    created = what.replace(" ", "").startswith("ObjectCreated")
    uploaded = datetime.fromisoformat(when).timestamp() if created and when else 0
    size = about["object"].get("size") if created else None
    # str: of whatever it is, to be refused as foreign.
    return Arrival(str(about["bucket"]["name"]), key, uploaded, size if isinstance(size, int) else None)
