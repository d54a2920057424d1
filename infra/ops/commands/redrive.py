"""`redrive`: retry the events in the failure queue.

Each event is sent to Lambda asynchronously, as S3 does it. Once Lambda has accepted an event, it keeps it for
hours and tries it three times, so the message is deleted. An event that fails again returns as a new message.
If the command is killed between sending and deleting, the event is sent twice, which is harmless because the
pipeline is idempotent.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.ops.aws.failures import AT_ONCE, FailureQueue, Message
from infra.ops.aws.place import Place
from infra.ops.screen.progress import Advance

CONFIG = Config(connect_timeout=5, read_timeout=10, max_pool_connections=AT_ONCE)
# Error codes that the event causes, not the function: it is too large, or not JSON that Lambda accepts.
REFUSED = {"InvalidRequestContentException", "RequestEntityTooLargeException", "RequestTooLargeException"}


class Redriven(NamedTuple):
    """How many events Lambda accepted; messages that cannot be sent; how many messages came meanwhile.

    `more` says whether the queue may hold messages that were not received.
    """

    accepted: int
    set_aside: list[Message]
    came_meanwhile: int
    more: bool


def redrive(place: Place, advance: Advance, *, limit: int | None = None) -> Redriven:
    """Send each waiting event to the function once, at most `limit` events."""
    functions = boto3.client("lambda", region_name=place.region, config=CONFIG)
    send = partial(_send, functions, place.function)
    accepted, set_aside = 0, []
    with FailureQueue(place) as queue, ThreadPoolExecutor(AT_ONCE) as pool:
        total = len(queue)
        for batch in queue.batches(limit):
            for message, refusal in zip(batch, pool.map(send, batch), strict=True):
                if refusal:
                    set_aside.append(message._replace(cause=refusal))
                else:
                    queue.delete(message)
                    accepted += 1
            advance(accepted + len(set_aside), total)
        return Redriven(accepted, set_aside, len(queue.later), not queue.drained)


def waiting_by_cause(place: Place, *, limit: int | None = None) -> list[tuple[str, list[float]]]:
    """List each cause with the times of its messages, in seconds since 1970. Sends nothing."""
    with FailureQueue(place) as queue:
        return _by_cause(message for batch in queue.batches(limit) for message in batch)


def _send(functions: Any, function: str, message: Message) -> str:
    """Send an event to Lambda; returns why that is impossible, or an empty text."""
    if not message.event:
        return message.cause
    try:
        functions.invoke(FunctionName=function, InvocationType="Event", Payload=message.event)
    except ClientError as error:
        if error.response["Error"]["Code"] not in REFUSED:
            raise
        return error.response["Error"]["Code"]
    return ""


def _by_cause(messages: Iterable[Message]) -> list[tuple[str, list[float]]]:
    sent: dict[str, list[float]] = {}
    for message in messages:
        sent.setdefault(message.cause, []).append(message.sent)
    return sorted(sent.items())
