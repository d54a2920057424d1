"""A batch of messages of the upload queue, whose failures are told one by one.

Lambda deletes what the answer does not name and brings the rest again
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html). It does so for a mapping that
asks for it, and Terraform's does. Somebody else's may not, and would lose what failed: a batch of another
queue fails as a whole.
"""

from collections.abc import Iterable
from typing import Any

from chalicelib.events import arrivals


def is_batch(event: Any, queue: str) -> bool:
    """Say whether an event brings messages of the queue with this ARN; never if there is none."""
    match event:
        case {"Records": [{"messageId": _, "eventSourceARN": str(source)}, *_]}:
            return bool(queue) and source == queue
    return False


def failed_messages(event: Any, failed: frozenset[tuple[str, str] | None]) -> list[str]:
    """Name the messages of which a key (bucket, key) failed, or a part (None) names no object."""
    return [
        message["messageId"] for message in event["Records"] if not failed.isdisjoint(_addresses(message))
    ]


def answer(failed: Iterable[str]) -> dict[str, Any]:
    """Word what Lambda is to be told of these messages."""
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def _addresses(message: Any) -> set[tuple[str, str] | None]:
    # As part of a batch: it may be one level too deep there, and not alone.
    return {arrival and arrival[:2] for arrival in arrivals({"Records": [message]})}
