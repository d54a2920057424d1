"""The upload queue of the stage `local`, with the settings of infra/sqs.tf."""

import json
from typing import Any

import boto3

from chalicelib.events import S3_EVENT_TYPES, SUFFIX

VISIBILITY_TIMEOUT = 6 * 900  # seconds
MAX_RECEIVES = 5


def make(function: str, raw_bucket: str) -> str:
    """Make the queue and the raw bucket's notification to it; returns its ARN."""
    sqs: Any = boto3.client("sqs")
    failures = _arn(sqs, sqs.create_queue(QueueName=f"{function}-failures")["QueueUrl"])
    url = sqs.create_queue(QueueName=f"{function}-uploads")["QueueUrl"]
    queue = _arn(sqs, url)
    redrive = {"deadLetterTargetArn": failures, "maxReceiveCount": MAX_RECEIVES}
    attributes = {
        "Policy": json.dumps(_policy(queue, raw_bucket)),
        "RedrivePolicy": json.dumps(redrive),
        "VisibilityTimeout": str(VISIBILITY_TIMEOUT),
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    _notify(raw_bucket, queue)
    return queue


def connect(function: str) -> None:
    """Map the queue to the function."""
    sqs: Any = boto3.client("sqs")
    boto3.client("lambda").create_event_source_mapping(
        EventSourceArn=_arn(sqs, sqs.get_queue_url(QueueName=f"{function}-uploads")["QueueUrl"]),
        FunctionName=function,
        BatchSize=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )


def _arn(sqs: Any, url: str) -> str:
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


def _policy(queue: str, raw_bucket: str) -> dict[str, Any]:
    from_here = {
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{raw_bucket}"},
        "StringEquals": {"aws:SourceAccount": queue.split(":")[4]},
    }
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": from_here,
    }
    return {"Version": "2012-10-17", "Statement": [allowed]}


def _notify(raw_bucket: str, queue: str) -> None:
    rules: Any = [{"Name": "suffix", "Value": SUFFIX}]
    uploads: Any = {
        "QueueArn": queue,
        "Events": S3_EVENT_TYPES,
        "Filter": {"Key": {"FilterRules": rules}},
    }
    boto3.client("s3").put_bucket_notification_configuration(
        Bucket=raw_bucket, NotificationConfiguration={"QueueConfigurations": [uploads]}
    )
