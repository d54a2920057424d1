"""A sample of the failure queue. Sampled messages stay in the queue, but are hidden for some seconds."""

import time
from typing import NamedTuple

from infra.ops.aws.failures import FailureQueue, Message
from infra.ops.aws.place import Place

SAMPLE_SIZE = 100  # messages; the last batch may exceed it
SECONDS = 5  # limit of the sampling, and the visibility timeout in case it is killed


class Sample(NamedTuple):
    """SQS's estimate of the messages in the queue, and those that were read."""

    waiting: int
    messages: list[Message]

    @property
    def is_partial(self) -> bool:
        """Whether the queue holds more messages than were read."""
        return len(self.messages) < self.waiting


def peek(place: Place) -> Sample:
    """Read a sample. `waiting` includes messages that another receiver holds."""
    deadline = time.monotonic() + SECONDS
    messages: list[Message] = []
    with FailureQueue(place, visibility_timeout=SECONDS) as queue:
        for batch in queue.batches():
            messages += batch
            if len(messages) >= SAMPLE_SIZE or time.monotonic() > deadline:
                break
        return Sample(max(len(queue), len(messages)), messages)
