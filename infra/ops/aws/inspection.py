"""A stage's alarms, log retention and settings. Changes nothing."""

from typing import Any, NamedTuple

import boto3

from infra.ops.aws.place import Place
from infra.ops.stage import APPLICATION


class Alarms(NamedTuple):
    """The number of all alarms, and the descriptions of those in state ALARM, by name."""

    number: int
    ringing: dict[str, str]


class Settings(NamedTuple):
    """Settings of `data-processor` and of the raw bucket; `kms_key` is None if S3 manages the key."""

    memory_mb: int
    timeout_seconds: int
    kms_key: str | None
    subnets: list[str]
    object_keys_in_log: bool


def alarms(place: Place) -> Alarms:
    """Read the states of the stage's alarms."""
    cloudwatch = boto3.client("cloudwatch", region_name=place.region)
    prefix = f"{APPLICATION}-{place.stage}."
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    found = [alarm for page in pages for alarm in page["MetricAlarms"]]
    ringing = [one for one in found if one["StateValue"] == "ALARM"]
    meanings = {one["AlarmName"].removeprefix(prefix): one.get("AlarmDescription", "") for one in ringing}
    return Alarms(len(found), meanings)


def retention(place: Place) -> dict[str, int | None]:
    """Return the retention of the functions' logs in days, by log group; None if they never expire."""
    logs = boto3.client("logs", region_name=place.region)
    api = f"/aws/lambda/{APPLICATION}-{place.stage}"
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=api)
    groups = {one["logGroupName"]: one.get("retentionInDays") for page in pages for one in page["logGroups"]}
    ours = {api, f"/aws/lambda/{place.function}"}
    return {name: days for name, days in groups.items() if name in ours}


def settings(place: Place) -> Settings:
    """Read the settings."""
    functions: Any = boto3.client("lambda", region_name=place.region)
    function = functions.get_function_configuration(FunctionName=place.function)
    return Settings(
        function["MemorySize"],
        function["Timeout"],
        _kms_key(place),
        function.get("VpcConfig", {}).get("SubnetIds", []),
        function["Environment"]["Variables"].get("LOG_OBJECT_KEYS", "").strip().lower() == "true",
    )


def _kms_key(place: Place) -> str | None:
    s3 = boto3.client("s3", region_name=place.region)
    encryption = s3.get_bucket_encryption(Bucket=place.buckets.raw)["ServerSideEncryptionConfiguration"]
    return encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
