"""A look into the failure queue: for moments, nobody else sees what is looked at; nothing is taken out."""

import time
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.failures import FailureQueue, Waiting
from infra.ops.aws.place import Place

LOOKED_AT = 100  # messages, give or take a batch
SECONDS = 5  # that it takes at most, and that a message is hidden, should whoever looks be killed


class Look(NamedTuple):
    """How many messages wait, about, and those that were looked at."""

    waiting: int
    messages: list[Waiting]

    @property
    def is_sample(self) -> bool:
        """Whether more wait than were looked at."""
        return len(self.messages) < self.waiting


def peek(place: Place) -> Look:
    """Look at what waits; the number includes what somebody else is at."""
    deadline = time.monotonic() + SECONDS
    messages: list[Waiting] = []
    with FailureQueue(place, hidden=SECONDS) as queue:
        for batch in queue.batches():
            messages += batch
            if len(messages) >= LOOKED_AT or time.monotonic() > deadline:
                break
    return Look(max(depth(place), len(messages)), messages)


def depth(place: Place) -> int:
    """Count what waits, about, in sight or not."""
    sqs: Any = boto3.client("sqs", region_name=place.region)
    url = sqs.get_queue_url(QueueName=place.failure_queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return sum(int(found[f"ApproximateNumberOfMessages{which}"]) for which in ("", "NotVisible", "Delayed"))
