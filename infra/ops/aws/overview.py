"""What a stage is at the moment: its revision, its alarms, its logs, its settings. Changes nothing."""

import json
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from infra.ops.aws.place import Place
from infra.ops.stage import APPLICATION

# Asked for nothing, the function says which revision it is.
NOTHING: dict[str, Any] = {"Items": [], "BatchInput": {}}
ANSWERS_WITHIN = 30  # seconds, a cold start included


class Alarms(NamedTuple):
    """How many there are, and what those that ring mean, by name."""

    number: int
    ringing: dict[str, str]


class Settings(NamedTuple):
    """What is set of data-processor and of the raw bucket; no `kms_key` for S3's own keys."""

    memory_mb: int
    timeout_seconds: int
    kms_key: str | None
    subnets: list[str]
    object_keys_in_log: bool


def revision(place: Place) -> str | None:
    """Ask the function; None if it does not say."""
    once = Config(read_timeout=ANSWERS_WITHIN, retries={"total_max_attempts": 1})
    functions = boto3.client("lambda", region_name=place.region, config=once)
    answer = functions.invoke(FunctionName=place.function, Payload=json.dumps(NOTHING).encode())
    match json.loads(answer["Payload"].read()):
        case {"revision": str(found)}:
            return found
    return None


def alarms(place: Place) -> Alarms:
    """Look at the alarms."""
    cloudwatch = boto3.client("cloudwatch", region_name=place.region)
    prefix = f"{APPLICATION}-{place.stage}."
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    found = [alarm for page in pages for alarm in page["MetricAlarms"]]
    ringing = [one for one in found if one["StateValue"] == "ALARM"]
    meanings = {one["AlarmName"].removeprefix(prefix): one.get("AlarmDescription", "") for one in ringing}
    return Alarms(len(found), meanings)


def retention(place: Place) -> dict[str, int | None]:
    """Say for how many days the functions' logs are kept, by log group; None for ever."""
    logs = boto3.client("logs", region_name=place.region)
    api = f"/aws/lambda/{APPLICATION}-{place.stage}"
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=api)
    groups = {one["logGroupName"]: one.get("retentionInDays") for page in pages for one in page["logGroups"]}
    ours = {api, f"/aws/lambda/{place.function}"}
    return {name: days for name, days in groups.items() if name in ours}


def settings(place: Place) -> Settings:
    """Read what is set."""
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
