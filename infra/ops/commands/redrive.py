"""`redrive`: what waits in the failure queue is tried again; only what works leaves the queue.

AWS's own redrive does not take a queue that Lambda feeds: its messages are not the events that failed, but
records of how they failed, with the event inside. What came by the upload queue is the event itself.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

GRACE = 60  # seconds, beyond the function's timeout


class Redriven(NamedTuple):
    """How many events were handled now, and how many failed once more and stay in the queue."""

    handled: int
    failed: int


def redrive(function: str, *, region: str, timeout: int) -> Redriven:
    """Send a function each event in its failure queue, once; its timeout is in seconds."""
    sqs = boto3.client("sqs", region_name=region)
    queue = sqs.get_queue_url(QueueName=f"{function}-failures")["QueueUrl"]
    # One attempt that waits as long as the function may take: whatever comes of it, the event is still there.
    config = Config(read_timeout=timeout + GRACE, retries={"total_max_attempts": 1}, tcp_keepalive=True)
    functions = boto3.client("lambda", region_name=region, config=config)
    handled, failed = 0, {}
    try:
        while message := _next(sqs, queue, seconds=timeout + GRACE):
            # One that has failed comes into sight again when the others take long.
            tried = message["MessageId"] in failed
            failed[message["MessageId"]] = message["ReceiptHandle"]
            if not tried and _succeeds(functions, function, message["Body"]):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=failed.pop(message["MessageId"]))
                handled += 1
    finally:
        _show(sqs, queue, failed.values())
    return Redriven(handled, len(failed))


def _next(sqs: Any, queue: str, *, seconds: int) -> Any:
    # Without a wait, SQS would ask only some of its servers.
    answer = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=seconds, WaitTimeSeconds=1)
    return next(iter(answer.get("Messages", [])), None)


def _succeeds(functions: Any, function: str, body: str) -> bool:
    try:
        record = json.loads(body)
        event = json.dumps(record if "Records" in record else record["requestPayload"]).encode()
    except (LookupError, TypeError, ValueError):
        return False  # neither Lambda nor S3 wrote it
    return "FunctionError" not in functions.invoke(FunctionName=function, Payload=event)


def _show(sqs: Any, queue: str, receipts: Iterable[str]) -> None:
    for receipt in receipts:
        with suppress(ClientError):  # by now it is in sight by itself
            sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=0)
