"""Batches of the upload queue: report which messages failed.

Lambda deletes the messages that the response does not name, and SQS delivers the others again
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html). This needs
ReportBatchItemFailures in the event source mapping, which Terraform sets for the upload queue. The mapping of
another queue may not have it, and would lose failed messages. So a batch of another queue fails as a whole.
"""

from collections.abc import Iterable
from typing import Any

from chalicelib.events import arrivals


def is_batch(event: Any, queue: str) -> bool:
    """Tell whether an event is a batch of the queue with this ARN; False if the ARN is empty."""
    match event:
        case {"Records": [{"messageId": _, "eventSourceARN": str(source)}, *_]}:
            return bool(queue) and source == queue
    return False


def failed_messages(event: Any, failed: frozenset[tuple[str, str] | None]) -> list[str]:
    """Return the ids of the messages that name a failed object (bucket, key), or an unreadable one (None)."""
    return [
        message["messageId"] for message in event["Records"] if not failed.isdisjoint(_addresses(message))
    ]


def answer(failed: Iterable[str]) -> dict[str, Any]:
    """Make the response that names the failed messages to Lambda."""
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def _addresses(message: Any) -> set[tuple[str, str] | None]:
    # As in the batch: the message alone would be one envelope less deep.
    return {arrival and arrival[:2] for arrival in arrivals({"Records": [message]})}
