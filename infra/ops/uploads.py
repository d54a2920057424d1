"""Uploads, and what became of them: read from the buckets, where it counts."""

import json
import time
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import ClientError


class UnhandledError(Exception):
    """Nothing came of an upload in time."""


class Buckets(NamedTuple):
    """The buckets of a stage, by name."""

    raw: str
    processed: str
    rejected: str


class Outcome(NamedTuple):
    """What became of one version of an object, and how long after its upload.

    `malformed` is the reason and the offset if the object was no use as a whole; the counts are then 0.
    """

    key: str
    version: str
    extracted: int
    rejected: int
    malformed: str
    milliseconds: int


def upload(buckets: Buckets, key: str, body: bytes, *, seconds: float) -> Outcome:
    """Put an object into the raw bucket and wait for its outcome; UnhandledError after `seconds`."""
    started = time.monotonic()
    version = boto3.client("s3").put_object(Bucket=buckets.raw, Key=key, Body=body)["VersionId"]
    while not (found := _result(buckets, key, version)):
        if time.monotonic() > started + seconds:
            raise UnhandledError(f"{key}: neither published nor reported within {seconds:g} seconds")
        time.sleep(0.02)
    return Outcome(key, version, *found, milliseconds=round((time.monotonic() - started) * 1000))


def _result(buckets: Buckets, key: str, version: str) -> tuple[int, int, str] | None:
    # In this order: what is rejected is written before the rest is published.
    published = _source_version(buckets.processed, key) == version
    report = [json.loads(line) for line in _read(buckets.rejected, report_key(key, version)).splitlines()]
    if published:
        return len(json.loads(_read(buckets.processed, key))), len(report), ""
    if report and "index" not in report[0]:
        return 0, 0, "{reason} at byte {offset}".format_map(report[0])
    return None


def report_key(key: str, version: str) -> str:
    """Name the object in the rejected bucket that tells about a version of an object."""
    return f"{key}/{version}.jsonl"


def _source_version(bucket: str, key: str) -> str | None:
    head = _unless_absent("head_object", Bucket=bucket, Key=key)
    return head["Metadata"]["source-version"] if head else None


def _read(bucket: str, key: str) -> bytes:
    answer = _unless_absent("get_object", Bucket=bucket, Key=key)
    return answer["Body"].read() if answer else b""


def _unless_absent(operation: str, **address: str) -> Any:
    try:
        return getattr(boto3.client("s3"), operation)(**address)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004 - the status for it
            return None
        raise
