"""Uploads, and what became of them: read from the buckets, where it counts."""

import json
import time
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import ClientError

from infra.ops.errors import OperatorError

# How the report of a malformed document begins; a rejected record begins with its index.
MALFORMED = b'{"reason":'


class UnhandledError(OperatorError):
    """Nothing came of an upload in time."""


class Buckets(NamedTuple):
    """The buckets of a stage, by name."""

    raw: str
    processed: str
    rejected: str


class Outcome(NamedTuple):
    """What became of one version of an object, and how long after its upload.

    `malformed` is the reason and the offset if the object was no use as a whole; the counts are then 0.
    Nothing is published either if it was `refused`, for none of its records is valid, or `empty`, of 0 bytes.
    An object that S3 has given no version goes by its ETag.
    """

    key: str
    version: str
    extracted: int
    rejected: int
    malformed: str
    refused: bool
    milliseconds: int
    empty: bool


def upload(buckets: Buckets, key: str, body: bytes, *, seconds: float, region: str | None = None) -> Outcome:
    """Put an object into the raw bucket and wait for its outcome; UnhandledError after `seconds`."""
    return upload_by(boto3.client("s3", region_name=region), buckets, key, body, seconds=seconds)


def upload_by(s3: Any, buckets: Buckets, key: str, body: bytes, *, seconds: float) -> Outcome:
    """Do so by a client that is there already."""
    started = time.monotonic()
    # While a bucket's versioning is new, S3 may take an object without telling a version.
    told = s3.put_object(Bucket=buckets.raw, Key=key, Body=body).get("VersionId")
    while not (found := _outcome(s3, buckets, key, told, empty=not body)):
        if time.monotonic() > started + seconds:
            raise UnhandledError(f"{key}: neither published nor reported within {seconds:g} seconds")
        time.sleep(0.05)
    milliseconds = round((time.monotonic() - started) * 1000)
    return Outcome(key, *found, milliseconds, empty=not body)


def _outcome(
    s3: Any, buckets: Buckets, key: str, told: str | None, *, empty: bool
) -> tuple[str, int, int, str, bool] | None:
    version = told or _current(s3, buckets.raw, key)
    if version and empty:  # of which nothing comes
        return version, 0, 0, "", False
    result = _result(s3, buckets, key, version) if version else None
    return (version, *result) if version and result else None


def _current(s3: Any, bucket: str, key: str) -> str | None:
    """Name the current version as the pipeline does: by its ETag where S3 has given it none."""
    found = head(s3, bucket, key)
    if not found:
        return None
    version: str = found.get("VersionId", "null")
    return found["ETag"].strip('"') if version == "null" else version


def _result(s3: Any, buckets: Buckets, key: str, version: str) -> tuple[int, int, str, bool] | None:
    # In this order: what is rejected is written before the rest is published.
    published = read(s3, buckets.processed, key, version)
    report = [json.loads(line) for line in read(s3, buckets.rejected, report_key(key, version)).splitlines()]
    if published:
        return len(json.loads(published)), len(report), "", False
    if report and "index" not in report[0]:
        return 0, 0, "{reason} at byte {offset}".format_map(report[0]), False
    if report and read(s3, buckets.rejected, refusal_key(key, version)):
        return 0, len(report), "", True
    return None


def report_key(key: str, version: str) -> str:
    """Name the object in the rejected bucket that tells about a version of an object."""
    return f"{key}/{version}.jsonl"


def refusal_key(key: str, version: str) -> str:
    """Name the object in the rejected bucket that proves that all records of a version were rejected."""
    return f"{key}/{version}.refused.json"


def read(s3: Any, bucket: str, key: str, version: str | None = None) -> bytes:
    """Read an object; empty unless it is there and, if one is named, made from this version."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return b""
    with answer["Body"] as stream:
        body: bytes = stream.read() if version in {None, answer["Metadata"].get("source-version")} else b""
    return body


def revision_that_published_nothing(s3: Any, bucket: str, key: str, version: str) -> str | None:
    """Name the revision by which a version is malformed, or all of its records are rejected; None if none is.

    Rejected records alone prove nothing: they are there before the rest is published. No record is read.
    """
    try:
        report = s3.get_object(Bucket=bucket, Key=report_key(key, version), Range="bytes=0-9")
    except s3.exceptions.NoSuchKey:
        return None
    with report["Body"] as stream:
        malformed = stream.read().startswith(MALFORMED)
    proof = report if malformed else head(s3, bucket, refusal_key(key, version))
    return proof["Metadata"].get("extraction-revision") if proof else None


def head(s3: Any, bucket: str, key: str) -> Any:
    """Look at an object without reading it; None if there is none."""
    try:
        return s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        return None


def versions(s3: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    """List what a bucket keeps below a prefix: versions and delete markers, the current ones last."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    found = [one for page in pages for kind in ("Versions", "DeleteMarkers") for one in page.get(kind, [])]
    return sorted(found, key=lambda one: bool(one["IsLatest"]))
