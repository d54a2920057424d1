"""Uploads, and what became of them: read from the buckets, where it counts."""

import json
import time
from typing import Any, NamedTuple

import boto3

from chalicelib.extraction import extract
from chalicelib.malformed import MalformedScan


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
    Nothing is published either if it was `refused`, for none of its records is valid, or `empty`, of 0 bytes.
    """

    key: str
    version: str
    extracted: int
    rejected: int
    malformed: str
    milliseconds: int
    refused: bool
    empty: bool


def upload(buckets: Buckets, key: str, body: bytes, *, seconds: float, region: str | None = None) -> Outcome:
    """Put an object into the raw bucket and wait for its outcome; UnhandledError after `seconds`."""
    s3 = boto3.client("s3", region_name=region)
    refused, found = _is_to_be_refused(body), None
    started = time.monotonic()
    version = s3.put_object(Bucket=buckets.raw, Key=key, Body=body)["VersionId"]
    while body and not (found := _result(s3, buckets, key, version, refused=refused)):
        if time.monotonic() > started + seconds:
            raise UnhandledError(f"{key}: neither published nor reported within {seconds:g} seconds")
        time.sleep(0.05)
    milliseconds = round((time.monotonic() - started) * 1000)
    extracted, rejected, malformed = found or (0, 0, "")
    return Outcome(key, version, extracted, rejected, malformed, milliseconds, refused, empty=not body)


def _is_to_be_refused(body: bytes) -> bool:
    # The buckets do not tell what is refused from what is about to be published.
    try:
        return extract([body], len, len).refused
    except MalformedScan:
        return False


def _result(
    s3: Any, buckets: Buckets, key: str, version: str, *, refused: bool
) -> tuple[int, int, str] | None:
    # In this order: what is rejected is written before the rest is published.
    published = _read(s3, buckets.processed, key, version)
    report = [json.loads(line) for line in _read(s3, buckets.rejected, report_key(key, version)).splitlines()]
    if published:
        return len(json.loads(published)), len(report), ""
    if report and "index" not in report[0]:
        return 0, 0, "{reason} at byte {offset}".format_map(report[0])
    if report and refused:
        return 0, len(report), ""
    return None


def report_key(key: str, version: str) -> str:
    """Name the object in the rejected bucket that tells about a version of an object."""
    return f"{key}/{version}.jsonl"


def _read(s3: Any, bucket: str, key: str, version: str | None = None) -> bytes:
    """Read an object, if it is there and made from this version."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return b""
    if version not in {None, answer["Metadata"].get("source-version")}:
        return b""
    body: bytes = answer["Body"].read()
    return body
