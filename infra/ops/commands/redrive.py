"""`redrive`: what waits in the failure queue is tried again.

Lambda is handed each event as S3 handed it: nobody waits for what becomes of it. Once Lambda has accepted an
event, it tries it three times and keeps it for hours, so the message can go; what fails again comes back as
a new message. Killed between the two, the event is sent twice, which changes nothing.
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
# Faults of an event, not of the function: too large, or no JSON to Lambda's taste.
REFUSED = {"InvalidRequestContentException", "RequestEntityTooLargeException", "RequestTooLargeException"}


class Redriven(NamedTuple):
    """How many events Lambda has accepted; what was set aside; how many messages came meanwhile.

    `more` says whether messages may wait that were not seen.
    """

    accepted: int
    aside: list[Message]
    later: int
    more: bool


def redrive(place: Place, advance: Advance, *, limit: int | None = None) -> Redriven:
    """Send the function what waits, each event once; at most `limit` of them."""
    functions = boto3.client("lambda", region_name=place.region, config=CONFIG)
    send = partial(_send, functions, place.function)
    accepted, aside = 0, []
    with FailureQueue(place) as queue, ThreadPoolExecutor(AT_ONCE) as pool:
        total = len(queue)
        for batch in queue.batches(limit):
            for message, problem in zip(batch, pool.map(send, batch), strict=True):
                if problem:
                    aside.append(message._replace(cause=problem))
                else:
                    queue.delete(message)
                    accepted += 1
            advance(accepted + len(aside), total)
        return Redriven(accepted, aside, len(queue.later), not queue.drained)


def look(place: Place, *, limit: int | None = None) -> list[tuple[str, list[float]]]:
    """Say what waits, by why it does, and since when, in seconds since 1970; sends nothing."""
    with FailureQueue(place) as queue:
        return _by_cause(message for batch in queue.batches(limit) for message in batch)


def _send(functions: Any, function: str, message: Message) -> str:
    """Hand an event to Lambda; returns why that cannot be done, if so."""
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
