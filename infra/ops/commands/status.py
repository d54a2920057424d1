"""`status`: a stage on one screen, and what is to be done about it. Changes nothing."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.extraction import REVISION
from infra.ops.aws.failures import LOOKED_AT, FailureQueue
from infra.ops.aws.metrics import last_day
from infra.ops.aws.place import Place
from infra.ops.aws.switch import Switch
from infra.ops.screen.findings import Finding, unknown
from infra.ops.stage import APPLICATION

# Asked for nothing, the function says which revision it is.
NOTHING: dict[str, Any] = {"Items": [], "BatchInput": {}}
ANSWERS_WITHIN = 30  # seconds, a cold start included
CAUSES = 6  # lines
RUNBOOK = "see Runbook in infra/README.md"


def status(place: Place) -> list[Finding]:
    """Look at everything; what cannot be told is told so."""
    return [_found(name, look, place) for name, look in LOOKS.items()]


def _found(name: str, look: Callable[[Place], Finding], place: Place) -> Finding:
    try:
        return look(place)
    except ClientError as error:
        return unknown(name, error.response["Error"]["Code"])
    except BotoCoreError as error:
        return unknown(name, type(error).__name__)


def _switch(place: Place) -> Finding:
    position = Switch(place).position()
    facts = position._asdict() | {"paused": position.paused}
    if position.paused:
        return Finding("paused", ["yes: nothing is published"], facts, f"make resume STAGE={place.stage}")
    way = "by a queue" if position.by_queue else "straight from S3"
    limit = (
        "with no limit of their own" if position.at_once is None else f"at most {position.at_once} at once"
    )
    return Finding("paused", [f"no; uploads come {way}, {limit}"], facts)


def _revision(place: Place) -> Finding:
    if Switch(place).position().at_once == 0:
        return unknown("revision", "a paused function does not answer")
    deployed = _asked(place)
    if deployed is None:
        return unknown("revision", "the function does not say it (older than this command?)")
    facts = {"deployed": deployed, "checkout": REVISION}
    if deployed == REVISION:
        return Finding("revision", [f"{deployed}, as in this checkout"], facts)
    words = [f"{deployed} is deployed; this checkout has {REVISION}"]
    return Finding("revision", words, facts, f"make deploy STAGE={place.stage}")


def _asked(place: Place) -> str | None:
    once = Config(read_timeout=ANSWERS_WITHIN, retries={"total_max_attempts": 1})
    functions = boto3.client("lambda", region_name=place.region, config=once)
    answer = functions.invoke(FunctionName=place.function, Payload=json.dumps(NOTHING).encode())
    match json.loads(answer["Payload"].read()):
        case {"revision": str(revision)}:
            return revision
    return None


def _alarms(place: Place) -> Finding:
    cloudwatch = boto3.client("cloudwatch", region_name=place.region)
    prefix = f"{APPLICATION}-{place.stage}."
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    ringing = {
        one["AlarmName"].removeprefix(prefix): one.get("AlarmDescription", "")
        for one in alarms
        if one["StateValue"] == "ALARM"
    }
    facts = {"alarms": len(alarms), "ringing": list(ringing)}
    if ringing:
        return Finding("alarms", [f"{one}: {meaning}" for one, meaning in ringing.items()], facts, RUNBOOK)
    return Finding("alarms", [f"none of {len(alarms)} rings" if alarms else "there are none"], facts)


def _failures(place: Place) -> Finding:
    queue = FailureQueue(place)
    waiting, failures = queue.depth(), queue.peek()
    if not (waiting or failures):
        return Finding("failure queue", ["empty"], {"waiting": 0})
    why = Counter(one.why for one in failures)
    oldest = round(time.time() - min((one.since for one in failures), default=time.time()))
    facts = {"waiting": max(waiting, len(failures)), "oldest_seconds": oldest, "why": dict(why)}
    sample = f", of the first {LOOKED_AT}" if len(failures) >= LOOKED_AT else ""
    words = [f"{facts['waiting']} waiting, the oldest for {timedelta(seconds=oldest)}{sample}", *_causes(why)]
    return Finding("failure queue", words, facts, f"make redrive STAGE={place.stage}")


def _causes(why: Counter[str]) -> Iterator[str]:
    for cause, number in why.most_common(CAUSES):
        yield f"{number}: {cause}"
    if len(why) > CAUSES:
        yield f"and {len(why) - CAUSES} other causes"


def _last_day(place: Place) -> Finding:
    day = last_day(place)
    ran = day.pop("invocations")
    ours = [value for name, value in day.items() if name not in {"failed", "throttled"}]
    attempts = f"{_number(day['failed'])} attempts failed, {_number(day['throttled'])} throttled"
    if ran and all(value is None for value in ours):
        why = "the function has run, and no metric of what it did has come"
        facts = {"unknown": why, "failed": day["failed"] or 0, "throttled": day["throttled"] or 0}
        return Finding("last day", [f"unknown: {why}", attempts], facts)
    # What is refused is counted as malformed, too.
    day["malformed"] = (day["malformed"] or 0) - (day["refused"] or 0)
    words = [
        ", ".join(
            f"{_number(day[name])} {name}" for name in ("published", "unchanged", "malformed", "refused")
        ),
        f"{_number(day['records_rejected'])} records rejected, {attempts}",
    ]
    p50, p99 = day["p50_milliseconds"], day["p99_milliseconds"]
    if p50 is not None and p99 is not None:
        words.append(f"an upload took {p50:,.0f} ms (p50), {p99:,.0f} ms (p99)")
    return Finding("last day", words, day)


def _number(value: float | None) -> str:
    return f"{value or 0:,.0f}"


def _logs(place: Place) -> Finding:
    logs = boto3.client("logs", region_name=place.region)
    api = f"/aws/lambda/{APPLICATION}-{place.stage}"
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=api)
    kept = {
        group["logGroupName"]: group.get("retentionInDays")
        for page in pages
        for group in page["logGroups"]
        if group["logGroupName"] in {api, f"/aws/lambda/{place.function}"}
    }
    days = sorted({f"{days} days" if days else "for ever" for days in kept.values()})
    return Finding(
        "logs", [f"kept {' and '.join(days)}" if days else "there are none"], {"retention_days": kept}
    )


def _settings(place: Place) -> Finding:
    function: Any = boto3.client("lambda", region_name=place.region).get_function_configuration(
        FunctionName=place.function
    )
    s3 = boto3.client("s3", region_name=place.region)
    (rule,) = s3.get_bucket_encryption(Bucket=place.buckets.raw)["ServerSideEncryptionConfiguration"]["Rules"]
    key = rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    subnets = function.get("VpcConfig", {}).get("SubnetIds", [])
    keys_in_log = function["Environment"]["Variables"].get("LOG_OBJECT_KEYS", "false").lower() == "true"
    words = [
        f"{function['MemorySize']:,} MB, {place.timeout} s; {'in a VPC' if subnets else 'no VPC'}",
        f"encrypted by the KMS key {key}" if key else "encrypted by S3's own keys",
        *(["object keys are in the log"] if keys_in_log else []),
    ]
    facts = {
        "memory_mb": function["MemorySize"],
        "timeout_seconds": place.timeout,
        "kms_key": key,
        "subnets": subnets,
        "object_keys_in_log": keys_in_log,
    }
    return Finding("set", words, facts)


LOOKS: dict[str, Callable[[Place], Finding]] = {
    "paused": _switch,
    "revision": _revision,
    "alarms": _alarms,
    "failure queue": _failures,
    "last day": _last_day,
    "logs": _logs,
    "set": _settings,
}
