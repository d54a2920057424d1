"""A change of how uploads come, `ingest` in a stage's file, without losing one on the way.

S3 refuses two destinations for one event, and keeps no event for later. So one replaces the other at once.

- To the queue, Terraform does that, before Chalice takes its own back. Uploads wait in the queue until Lambda
  is connected to it.
- From the queue, Terraform would first leave the bucket without a destination. So the function takes the
  queue's place before, while it still empties the queue, and Terraform is told to forget about it.

What S3 does of its own accord takes "a minute or longer": either way, nothing is taken away before
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html).
"""

import time
from typing import Any

import boto3

from infra.ops.aws import deployed
from infra.ops.aws.notification import function_arn, invoked_by_s3, notify_function
from infra.ops.aws.queues import depth
from infra.ops.errors import OperatorError
from infra.ops.screen.progress import Step
from infra.ops.stage import Stage
from infra.ops.tools.roots import Foundation, Operations

SETTLES = 120  # seconds until S3 tells nobody any more whom it is not to tell
PATIENCE = 16 * 60  # seconds in which something leaves the queue, unless it fails: a function has 15 minutes
PAUSE = 2  # seconds


class PausedError(OperatorError):
    """The function may not run, so it cannot empty the queue; says what to do first."""


class NotEmptyError(OperatorError):
    """The upload queue does not empty; says what to do. Nothing is lost."""


def leave_queue(stage: Stage, bucket: str, root: Foundation, step: Step) -> None:
    """Have S3 invoke the function again, if the stage's file says so, and the queue emptied."""
    made = root.outputs()
    function = function_arn(stage)
    if stage.by_queue or not made.get("upload_queue_arn") or not function:
        return
    _refuse_paused(stage)
    step("Back from the upload queue: S3 invokes the function, which empties the queue")
    deployed.fetch(stage, bucket)
    Operations(stage, bucket, made).apply()  # the queue may have been paused, or never connected
    notify_function(stage, made["raw_data_bucket_name"], function)
    root.forget("aws_s3_bucket_notification.uploads[0]")
    await_empty(boto3.client("sqs", region_name=stage.region), made["upload_queue_url"])


def enter_queue(stage: Stage, foundation: dict[str, Any], step: Step) -> None:
    """Wait until S3 tells the queue alone, if the function is still one that S3 invokes."""
    if foundation["upload_queue_arn"] and invoked_by_s3(stage):
        step("To the upload queue: waiting until S3 does not invoke the function any more")
        time.sleep(SETTLES)


def _refuse_paused(stage: Stage) -> None:
    functions = boto3.client("lambda", region_name=stage.region)
    limit = functions.get_function_concurrency(FunctionName=stage.data_processor)
    if limit.get("ReservedConcurrentExecutions") == 0:
        raise PausedError(
            f"The stage is paused, so nothing would empty its queue. First `make resume STAGE={stage.name}`."
        )


def await_empty(sqs: Any, queue: str) -> None:
    """Wait until a queue (its URL) has been empty for a while; NotEmptyError if it stays as it is."""
    left, since = _left(sqs, queue), time.monotonic()
    while left or time.monotonic() < since + SETTLES:
        if left and time.monotonic() > since + PATIENCE:
            raise NotEmptyError(
                f"{left} uploads are still in the upload queue; what fails comes again every 90 minutes, "
                "five times. S3 invokes the function already, and the queue is emptied on: try again later."
            )
        time.sleep(PAUSE)
        if (now := _left(sqs, queue)) != left:
            left, since = now, time.monotonic()


def _left(sqs: Any, queue: str) -> int:
    """Count the messages in a queue, at work or not."""
    try:
        return depth(sqs, queue)
    except sqs.exceptions.QueueDoesNotExist:  # it was empty, and a deployment cut short
        return 0
