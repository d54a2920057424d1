"""`redrive`: what waits in the failure queue is tried again; only what works leaves the queue.

AWS's own redrive does not take a queue that Lambda feeds: its messages are not the events that failed, but
records of how they failed, with the event inside.
"""

import json
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

GRACE = 60  # seconds, beyond the function's timeout


class Redriven(NamedTuple):
    """How many events were handled now, and how many failed once more and stay in the queue."""

    handled: int
    failed: int


def redrive(function: str, *, region: str, timeout: int) -> Redriven:
    """Send a function each event in its failure queue; its timeout is in seconds."""
    sqs = boto3.client("sqs", region_name=region)
    queue = sqs.get_queue_url(QueueName=f"{function}-failures")["QueueUrl"]
    handled, failed = 0, []
    while message := _next(sqs, queue, seconds=timeout + GRACE):
        receipt = message["ReceiptHandle"]
        if _succeeds(function, message["Body"], region, timeout):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=receipt)
            handled += 1
        else:
            failed.append(receipt)
    # Not before: each is tried once.
    for receipt in failed:
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=0)
    return Redriven(handled, len(failed))


def _next(sqs: Any, queue: str, *, seconds: int) -> Any:
    # Without a wait, SQS would ask only some of its servers.
    answer = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=seconds, WaitTimeSeconds=1)
    return next(iter(answer.get("Messages", [])), None)


def _succeeds(function: str, body: str, region: str, timeout: int) -> bool:
    # One attempt that waits as long as the function may take: whatever comes of it, the event is still there.
    config = Config(read_timeout=timeout + GRACE, retries={"total_max_attempts": 1})
    client = boto3.client("lambda", region_name=region, config=config)
    event = json.dumps(json.loads(body)["requestPayload"]).encode()
    return "FunctionError" not in client.invoke(FunctionName=function, Payload=event)
