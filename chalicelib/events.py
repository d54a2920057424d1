"""Read the keys that an event of S3 names, whichever service delivers the event.

S3 notifies Lambda directly, or through EventBridge, SNS or SQS. An event that failed comes back from the
failure queue, inside the record that Lambda wrote there. Each service puts its own envelope around the event
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html). Each service names itself in its
envelope, and S3 names the kind of event. Anything else is reported as unreadable; nothing is ignored.
"""

import json
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

# S3 sends these events, for keys with this suffix.
SUFFIX = ".json"
S3_EVENT_TYPES = [
    "s3:ObjectCreated:*",
    # A version or a delete marker is removed for good, so that the version below it is current. AWS documents
    # this event for versions only. `verify` checks on every stage that it is sent for markers, too.
    "s3:ObjectRemoved:Delete",
    # Restored from an archive: from now on it can be read.
    "s3:ObjectRestore:Completed",
]

# The same events in EventBridge, which also sends one for each new delete marker.
EVENTBRIDGE_TYPES = {"Object Created", "Object Deleted", "Object Restore Completed"}
# Why Lambda gave up an event and sent it to the failure queue.
CONDITIONS = {"RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency"}

# Nested envelopes that are opened. The deepest real event is a failed SQS message with an SNS message in it.
MAX_DEPTH = 6
# Bytes up to which an object is small: several small objects are handled at once.
SMALL = 1024 * 1024


class Arrival(NamedTuple):
    """A key that an event names, decoded.

    `uploaded` is the time of the upload in seconds since 1970, and `size` is in bytes. They are 0 and None if
    the event is not about an upload, or does not have them. `replayed`: the event is a request to publish,
    not a notification. `force`: publish even if the published object is current.
    """

    bucket: str
    key: str
    uploaded: float = 0
    size: int | None = None
    replayed: bool = False
    force: bool = False

    @property
    def small(self) -> bool:
        """Whether the object was small when the event was sent. It may have been replaced since."""
        return self.size is not None and self.size <= SMALL


def arrivals(event: Any) -> list[Arrival | None]:
    """Return the keys that an event names, in its order; None stands for a part that names no key.

    The list is empty only for `s3:TestEvent`, which S3 sends to a new queue or topic.
    """
    return _arrivals(event, MAX_DEPTH)


def _arrivals(event: Any, depth: int) -> list[Arrival | None]:
    try:
        inner = _unwrapped(event) if depth else None
        if inner is None:
            return [_arrival(event)]
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        return [None]
    return [arrival for one in inner for arrival in _arrivals(one, depth - 1)]


def _unwrapped(event: Any) -> list[Any] | None:
    """Return the events in an envelope; None if the event is no envelope."""
    match event:
        case {"Records": [_, *_] as records}:
            return list(records)
        case {"Service": "Amazon S3", "Event": "s3:TestEvent"}:
            return []
        case {"eventSource": "aws:sqs", "body": str(body)}:
            return [json.loads(body)]
        case (
            {"EventSource": "aws:sns", "Sns": {"Message": str(message)}}
            | {"Type": "Notification", "Message": str(message)}  # SNS within SQS
        ):
            return [json.loads(message)]
        case {"requestContext": {"functionArn": _, "condition": str(why)}, "requestPayload": failed} if (
            why in CONDITIONS
        ):
            return [failed]
    return None


def _arrival(event: Any) -> Arrival:
    """Read one event of S3. Raises an error of any kind if it is not one."""
    match event:
        case {"source": "aws.s3", "detail-type": str(what), "detail": about} if what in EVENTBRIDGE_TYPES:
            key, when = about["object"]["key"], event["time"]
        case {"eventSource": "aws:s3", "eventName": str(what), "s3": about} if _is_subscribed(what):
            # Strict: if invalid UTF-8 became U+FFFD, this would be the key of another object.
            key = unquote_to_bytes(about["object"]["key"].replace("+", " ")).decode()
            when = event.get("eventTime", "")
        case _:
            raise ValueError
    key.encode()  # raises for half a surrogate pair, which no key has
    created = what.startswith(("ObjectCreated:", "Object Created"))
    uploaded = datetime.fromisoformat(when).timestamp() if created and when else 0
    size = about["object"].get("size") if created else None
    # The name may be of any type. As text it is another bucket's, and ForeignBucketError follows.
    return Arrival(str(about["bucket"]["name"]), key, uploaded, size if isinstance(size, int) else None)


def _is_subscribed(name: str) -> bool:
    return any(fnmatchcase(f"s3:{name}", each) for each in S3_EVENT_TYPES)
