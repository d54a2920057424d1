"""The trail of one object: its versions in the raw bucket, what is published of it, and what was reported."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.place import Place
from infra.ops.aws.reports import Report, read_report
from infra.ops.aws.uploads import revision_that_published_nothing

SHOWN = 10  # versions
CHUNK = 1024 * 1024  # bytes


class Version(NamedTuple):
    """A version of the raw object, named as the pipeline names it; a delete marker has no size."""

    name: str
    at: datetime
    size: int | None


class Published(NamedTuple):
    """The processed object: when, from which version and by which revision it was made; records and bytes."""

    at: datetime
    version: str
    revision: str
    records: int
    size: int


class Trail(NamedTuple):
    """All of it: the newest versions, the newest first; the report is of the current one.

    `refused_by` is the revision by which the current one is malformed, or has no valid record.
    """

    versions: list[Version]
    published: Published | None
    report: Report | None
    refused_by: str | None

    @property
    def current(self) -> Version | None:
        """What is to be published; None if there is nothing, or a delete marker stands."""
        first = next(iter(self.versions), None)
        return first if first and first.size is not None else None


def follow(place: Place, key: str) -> Trail:
    """Read it all from the buckets; of the objects, as streams."""
    s3: Any = boto3.client("s3", region_name=place.region)
    raw, processed, rejected = place.buckets
    versions = list(islice(_versions(s3, raw, key), SHOWN))
    trail = Trail(versions, _published(s3, processed, key), None, None)
    if current := trail.current:
        refused_by = revision_that_published_nothing(s3, rejected, key, current.name)
        trail = trail._replace(report=read_report(s3, rejected, key, current.name), refused_by=refused_by)
    return trail


def _versions(s3: Any, bucket: str, key: str) -> Iterator[Version]:
    # The key itself comes first of all that begins like it.
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ours = [one for one in found if one["Key"] == key]
        for one in sorted(ours, key=lambda one: (one["IsLatest"], one["LastModified"]), reverse=True):
            name = one["VersionId"]
            if name == "null":  # the pipeline goes by the ETag then; a marker has none
                name = one.get("ETag", name).strip('"')
            yield Version(name, one["LastModified"], one.get("Size"))
        if not ours:
            return


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
        max(0, lines - 2),  # a record is a line; the brackets have two
        answer["ContentLength"],
    )
