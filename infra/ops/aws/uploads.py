"""What became of an upload, read from the buckets."""

import json
import time
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import ClientError

from infra.ops.errors import OperatorError

# Start of the report of a malformed document. The report of a rejected record starts with its index.
MALFORMED = b'{"reason":'


class UnhandledError(OperatorError):
    """An upload was neither published nor reported in time."""


class Buckets(NamedTuple):
    """Names of a stage's buckets."""

    raw: str
    processed: str
    rejected: str


class Outcome(NamedTuple):
    """What became of one version of an object; `milliseconds` count from the start of its upload.

    `version` is the ETag if S3 assigned no version id. `malformed` has the reason and the offset if the
    document as a whole cannot be parsed; then both counts are 0. Nothing is published either if the object is
    `refused` (it has records, and none is valid) or `empty` (0 bytes).
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
    return upload_with(boto3.client("s3", region_name=region), buckets, key, body, seconds=seconds)


def upload_with(s3: Any, buckets: Buckets, key: str, body: bytes, *, seconds: float) -> Outcome:
    """Do the same with an existing client."""
    started = time.monotonic()
    # S3 may return no version id while versioning is new on the bucket.
    version = s3.put_object(Bucket=buckets.raw, Key=key, Body=body).get("VersionId")
    while not (found := _outcome(s3, buckets, key, version, empty=not body)):
        if time.monotonic() > started + seconds:
            raise UnhandledError(f"{key}: neither published nor reported within {seconds:g} seconds")
        time.sleep(0.05)
    milliseconds = round((time.monotonic() - started) * 1000)
    return Outcome(key, *found, milliseconds, empty=not body)


def _outcome(
    s3: Any, buckets: Buckets, key: str, version: str | None, *, empty: bool
) -> tuple[str, int, int, str, bool] | None:
    version = version or _current(s3, buckets.raw, key)
    if version and empty:  # nothing is published, nothing reported
        return version, 0, 0, "", False
    result = _result(s3, buckets, key, version) if version else None
    return (version, *result) if version and result else None


def _current(s3: Any, bucket: str, key: str) -> str | None:
    """Name the current version as the pipeline does: by ETag if S3 assigned no version id."""
    found = head(s3, bucket, key)
    if not found:
        return None
    version: str = found.get("VersionId", "null")
    return found["ETag"].strip('"') if version == "null" else version


def _result(s3: Any, buckets: Buckets, key: str, version: str) -> tuple[int, int, str, bool] | None:
    # Read in this order: the pipeline writes the report before it publishes.
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
    """Return the key, in the rejected bucket, of the report on a version."""
    return f"{key}/{version}.jsonl"


def refusal_key(key: str, version: str) -> str:
    """Return the key, in the rejected bucket, of the proof that all records of a version were rejected."""
    return f"{key}/{version}.refused.json"


def read(s3: Any, bucket: str, key: str, version: str | None = None) -> bytes:
    """Read an object. Return b"" if it is absent, or was made from another version than `version`."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return b""
    with answer["Body"] as stream:
        body: bytes = stream.read() if version in {None, answer["Metadata"].get("source-version")} else b""
    return body


def revision_that_published_nothing(s3: Any, bucket: str, key: str, version: str) -> str | None:
    """Return the revision that reported a version as malformed or refused; None without such a report.

    A report of rejected records is no proof: it is written before the valid records are published. The
    records themselves are not read.
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
    """Return S3's answer to a HEAD request; None if there is no object."""
    try:
        return s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        return None
