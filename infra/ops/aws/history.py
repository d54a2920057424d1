"""The history of one object: its raw versions, what is published of it, and its report."""

from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.place import Place
from infra.ops.aws.reports import Report, read_report
from infra.ops.aws.uploads import revision_that_published_nothing
from infra.ops.aws.versions import Version, versions_of

SHOWN = 10  # versions
CHUNK = 1024 * 1024  # bytes


class Published(NamedTuple):
    """The processed object: publication time, source version, extraction revision, records and bytes."""

    at: datetime
    version: str
    revision: str
    records: int
    size: int


class History(NamedTuple):
    """The newest raw versions, newest first; the processed object; the report on the current version.

    `refused_by` is the revision by which the current version is malformed, or has no valid record.
    """

    versions: list[Version]
    published: Published | None
    report: Report | None
    refused_by: str | None

    @property
    def current(self) -> Version | None:
        """The current raw version; None if there is none, or a delete marker hides it."""
        newest = next(iter(self.versions), None)
        return None if newest is None or newest.is_marker else newest


def read_history(place: Place, key: str) -> History:
    """Read an object's history from the buckets. Bodies are read as streams."""
    s3: Any = boto3.client("s3", region_name=place.region)
    raw, processed, rejected = place.buckets
    versions = list(islice(versions_of(s3, raw, key), SHOWN))
    history = History(versions, _published(s3, processed, key), None, None)
    if current := history.current:
        refused_by = revision_that_published_nothing(s3, rejected, key, current.source)
        report = read_report(s3, rejected, key, current.source)
        history = history._replace(report=report, refused_by=refused_by)
    return history


def _published(s3: Any, bucket: str, key: str) -> Published | None:
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return None
    made_from = answer["Metadata"]
    with closing(answer["Body"]) as stream:
        lines = sum(chunk.count(b"\n") for chunk in stream.iter_chunks(CHUNK))
    return Published(
        answer["LastModified"],
        made_from.get("source-version", "?"),
        made_from.get("extraction-revision", "?"),
        max(0, lines - 2),  # one line for each record, two for the brackets
        answer["ContentLength"],
    )
