"""Whom the raw bucket tells of uploads. S3 takes but one destination for an event, and changes it at once."""

from typing import Any

import boto3
import botocore.session
from chalice.awsclient import TypedAWSClient

from chalicelib.events import CHANGES_OF_WHAT_IS_CURRENT, SUFFIX
from infra.ops.stage import Stage

FILTER = {"Key": {"FilterRules": [{"Name": "suffix", "Value": SUFFIX}]}}


def function_arn(stage: Stage) -> str | None:
    """Name data-processor by its ARN; None if it is not deployed."""
    client = boto3.client("lambda", region_name=stage.region)
    try:
        arn: str = client.get_function_configuration(FunctionName=stage.data_processor)["FunctionArn"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return arn


def tell_function(stage: Stage, raw_bucket: str, function: str) -> None:
    """Have S3 invoke the function, in place of whom it has told; Chalice then finds its own work done."""
    session = botocore.session.get_session()
    session.set_config_variable("region", stage.region)
    TypedAWSClient(session).add_permission_for_s3_event(raw_bucket, function, function.split(":")[4])
    uploads: Any = {"LambdaFunctionArn": function, "Events": CHANGES_OF_WHAT_IS_CURRENT, "Filter": FILTER}
    boto3.client("s3", region_name=stage.region).put_bucket_notification_configuration(
        Bucket=raw_bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [uploads]}
    )
