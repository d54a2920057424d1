"""The listings of the raw and the processed bucket, merged by key. Memory holds one page of each."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from infra.ops.aws.uploads import Buckets
from infra.ops.aws.versions import Version, versions
from infra.ops.errors import OperatorError


class OutOfOrderError(OperatorError):
    """A bucket does not list its keys in the order of their bytes, so the listings cannot be merged."""


class Upload(NamedTuple):
    """The current version of a raw object, named as the pipeline names it.

    `modified` is when its upload began, in whole seconds: S3 gives no finer time for a multipart upload
    (`in_parts`). `alone` says that the listing shows no other version of the key and no delete marker.
    """

    version: str
    size: int
    modified: datetime
    in_parts: bool
    alone: bool


class Pair(NamedTuple):
    """A key, its current raw version, and the publication time of its processed object."""

    key: str
    upload: Upload | None
    published: datetime | None


def merge_listings(s3: Any, buckets: Buckets, prefix: str) -> Iterator[Pair]:
    """Yield every key of either bucket, in order; raises OutOfOrderError.

    S3 lists keys in the order of their UTF-8 bytes. Python compares code points, which gives the same order.
    """
    both = heapq.merge(
        _uploads(s3, buckets.raw, prefix), _published(s3, buckets.processed, prefix), key=itemgetter(0)
    )
    last = ""
    for key, found in groupby(both, itemgetter(0)):
        if key <= last:
            raise OutOfOrderError("A bucket does not list its keys in order: is it a directory bucket?")
        last = key
        first, *others = found
        yield others[0]._replace(upload=first.upload) if others else first


def _uploads(s3: Any, bucket: str, prefix: str) -> Iterator[Pair]:
    for key, listed in groupby(versions(s3, bucket, prefix), attrgetter("key")):
        current, count = None, 0
        for count, one in enumerate(listed, 1):  # noqa: B007 - used after the loop
            if one.is_latest:
                current = one
        if current and not current.is_marker:
            yield Pair(key, _upload(current, alone=count == 1), None)


def _upload(current: Version, *, alone: bool) -> Upload:
    # Without versioning, an overwritten object leaves no version in the listing.
    alone = alone and current.id != "null"
    modified = current.modified.replace(microsecond=0)
    return Upload(current.source, current.size, modified, "-" in current.etag, alone=alone)


def _published(s3: Any, bucket: str, prefix: str) -> Iterator[Pair]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for listed in page.get("Contents", []):
            yield Pair(listed["Key"], None, listed["LastModified"].replace(microsecond=0))
