"""Switch a stage's `ingest` between `direct` and `queue`, without losing an upload.

S3 refuses two destinations for one event, and does not keep events for later. So one request replaces one
destination by the other.

- To the queue: Terraform does it, before Chalice removes its own notification. Uploads wait in the queue
  until Lambda is connected to it.
- From the queue: Terraform would first leave the bucket without a destination. So the function replaces the
  queue beforehand, while it still empties the queue, and the notification is removed from Terraform's state.

S3 may take "a minute or longer" to follow a change, so the old destination is not removed before that
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

SETTLE_SECONDS = 120  # after a change, until S3 sends nothing to the old destination
TIMEOUT = 16 * 60  # seconds in which a message leaves the queue, unless it fails: a function has 15 minutes
POLL_SECONDS = 2


class PausedError(OperatorError):
    """The stage is paused, so its function cannot empty the queue. The message says what to do first."""


class NotEmptyError(OperatorError):
    """The upload queue does not become empty. The message says what to do. Nothing is lost."""


def leave_queue(stage: Stage, bucket: str, root: Foundation, step: Step) -> None:
    """If the stage's file says `direct` but a queue exists, have S3 invoke the function; empty the queue."""
    made = root.outputs()
    function = function_arn(stage)
    if stage.uses_queue or not made.get("upload_queue_arn") or not function:
        return
    _refuse_paused(stage)
    step("Leaving the upload queue: S3 invokes the function, which empties the queue")
    deployed.fetch(stage, bucket)
    Operations(stage, bucket, made).apply()  # the queue may have been paused, or never connected
    notify_function(stage, made["raw_data_bucket_name"], function)
    root.remove_from_state("aws_s3_bucket_notification.uploads[0]")
    await_empty(boto3.client("sqs", region_name=stage.region), made["upload_queue_url"])


def enter_queue(stage: Stage, foundation: dict[str, Any], step: Step) -> None:
    """Wait until S3 sends events to the queue only, if the deployed function is still invoked by S3."""
    if foundation["upload_queue_arn"] and invoked_by_s3(stage):
        step("Switching to the upload queue: waiting until S3 no longer invokes the function")
        time.sleep(SETTLE_SECONDS)


def _refuse_paused(stage: Stage) -> None:
    functions = boto3.client("lambda", region_name=stage.region)
    limit = functions.get_function_concurrency(FunctionName=stage.data_processor)
    if limit.get("ReservedConcurrentExecutions") == 0:
        raise PausedError(
            f"The stage is paused, so nothing empties its queue. First run `make resume STAGE={stage.name}`."
        )


def await_empty(sqs: Any, queue: str) -> None:
    """Wait until a queue (its URL) has been empty for SETTLE_SECONDS.

    Raises NotEmptyError if the number of messages has not changed for TIMEOUT.
    """
    left, since = _left(sqs, queue), time.monotonic()
    while left or time.monotonic() < since + SETTLE_SECONDS:
        if left and time.monotonic() > since + TIMEOUT:
            raise NotEmptyError(
                f"{left} uploads are still in the upload queue. A failed one is retried every 90 minutes, "
                "five times in all. S3 already invokes the function, which still empties the queue: run this "
                "command again later."
            )
        time.sleep(POLL_SECONDS)
        if (now := _left(sqs, queue)) != left:
            left, since = now, time.monotonic()


def _left(sqs: Any, queue: str) -> int:
    try:
        return depth(sqs, queue)
    except sqs.exceptions.QueueDoesNotExist:  # an earlier deployment was cut short after the queue was empty
        return 0
