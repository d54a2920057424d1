"""Whom the raw bucket tells of uploads. S3 takes but one destination for an event, and changes it at once."""

import time
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import ClientError
from chalice.awsclient import TypedAWSClient

from chalicelib.events import S3_EVENT_TYPES, SUFFIX
from infra.ops.stage import Stage
from infra.ops.tools.run import ToolError

# What S3 says when it does not know yet that it may invoke a function (webiny/webiny-js#1807).
UNKNOWN_YET = "Unable to validate the following destination configurations"
PAUSES = (10, 20)  # seconds
FILTER = {"Key": {"FilterRules": [{"Name": "suffix", "Value": SUFFIX}]}}


def function_arn(stage: Stage) -> str | None:
    """Name data-processor by its ARN; None if it is not deployed."""
    found = _deployed(stage)
    return str(found["FunctionArn"]) if found else None


def invoked_by_s3(stage: Stage) -> bool:
    """Say whether data-processor was deployed to be invoked by S3 itself."""
    found = _deployed(stage)
    return found is not None and "UPLOAD_QUEUE_ARN" not in found["Environment"]["Variables"]


def _deployed(stage: Stage) -> Any:
    client: Any = boto3.client("lambda", region_name=stage.region)
    try:
        return client.get_function_configuration(FunctionName=stage.data_processor)
    except client.exceptions.ResourceNotFoundException:
        return None


def tell_function(stage: Stage, raw_bucket: str, function: str) -> None:
    """Have S3 invoke the function, in place of whom it has told; Chalice then finds its own work done."""
    session = botocore.session.get_session()
    session.set_config_variable("region", stage.region)
    TypedAWSClient(session).add_permission_for_s3_event(raw_bucket, function, function.split(":")[4])
    uploads: Any = {"LambdaFunctionArn": function, "Events": S3_EVENT_TYPES, "Filter": FILTER}
    told: Any = {"LambdaFunctionConfigurations": [uploads]}
    s3 = boto3.client("s3", region_name=stage.region)
    until_s3_knows(
        lambda: s3.put_bucket_notification_configuration(Bucket=raw_bucket, NotificationConfiguration=told)
    )


def until_s3_knows(connect: Callable[[], object]) -> None:
    """Connect S3 to a function, again where S3 does not know yet that it may invoke it."""
    for pause in PAUSES:
        try:
            connect()
        except (ClientError, ToolError) as error:
            if UNKNOWN_YET not in str(error):
                raise
        else:
            return
        time.sleep(pause)
    connect()
