"""The raw bucket's notification. S3 allows one destination for an event, and replaces it atomically."""

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

# S3's message while the permission to invoke a new function has not propagated (webiny/webiny-js#1807).
NOT_YET_PERMITTED = "Unable to validate the following destination configurations"
PAUSES = (10, 20)  # seconds
FILTER = {"Key": {"FilterRules": [{"Name": "suffix", "Value": SUFFIX}]}}


def function_arn(stage: Stage) -> str | None:
    """Return the ARN of `data-processor`; None if it is not deployed."""
    found = _deployed(stage)
    return str(found["FunctionArn"]) if found else None


def invoked_by_s3(stage: Stage) -> bool:
    """Say whether `data-processor` was deployed without an upload queue."""
    found = _deployed(stage)
    return found is not None and "UPLOAD_QUEUE_ARN" not in found["Environment"]["Variables"]


def _deployed(stage: Stage) -> Any:
    client: Any = boto3.client("lambda", region_name=stage.region)
    try:
        return client.get_function_configuration(FunctionName=stage.data_processor)
    except client.exceptions.ResourceNotFoundException:
        return None


def notify_function(stage: Stage, raw_bucket: str, function: str) -> None:
    """Make the function the only destination, as Chalice itself would do it."""
    session = botocore.session.get_session()
    session.set_config_variable("region", stage.region)
    TypedAWSClient(session).add_permission_for_s3_event(raw_bucket, function, function.split(":")[4])
    uploads: Any = {"LambdaFunctionArn": function, "Events": S3_EVENT_TYPES, "Filter": FILTER}
    configuration: Any = {"LambdaFunctionConfigurations": [uploads]}
    s3 = boto3.client("s3", region_name=stage.region)
    retry_until_permitted(
        lambda: s3.put_bucket_notification_configuration(
            Bucket=raw_bucket, NotificationConfiguration=configuration
        )
    )


def retry_until_permitted(connect: Callable[[], object]) -> None:
    """Connect S3 to a function; retry while the permission has not propagated."""
    for pause in PAUSES:
        try:
            connect()
        except (ClientError, ToolError) as error:
            if NOT_YET_PERMITTED not in str(error):
                raise
        else:
            return
        time.sleep(pause)
    connect()
