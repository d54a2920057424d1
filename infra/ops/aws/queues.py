"""How many messages a queue holds."""

from typing import Any

COUNTS = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]


def depth(sqs: Any, url: str) -> int:
    """Return SQS's estimate of all messages in a queue: visible, in flight and delayed."""
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTS)
    return sum(map(int, answer["Attributes"].values()))
