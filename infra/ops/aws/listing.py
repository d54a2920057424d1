"""What the raw and the processed bucket list, key by key: as streams, of which memory holds a page each."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from infra.ops.aws.uploads import Buckets
from infra.ops.errors import OperatorError


class OutOfOrderError(OperatorError):
    """A bucket does not list its keys in the order of their bytes, so they cannot be compared one by one."""


class Upload(NamedTuple):
    """The version that is current in the raw bucket, named as the pipeline does.

    `modified` is when its upload began, in whole seconds: S3 says no more of one that came `in_parts`. It is
    `alone` if no other version, nor a delete marker, is listed beside it.
    """

    version: str
    size: int
    modified: datetime
    in_parts: bool
    alone: bool


class Pair(NamedTuple):
    """A key: what is current in the raw bucket, and when what stands in the processed one was published."""

    key: str
    upload: Upload | None
    published: datetime | None


def side_by_side(s3: Any, buckets: Buckets, prefix: str) -> Iterator[Pair]:
    """Yield every key at which something stands, in order; raises OutOfOrderError.

    S3 lists keys in the order of their UTF-8 bytes. Of code points, by which Python compares, it is the same.
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
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    entries = (one for page in pages for one in _in_order(page))
    for key, listed in groupby(entries, itemgetter("Key")):
        current, count = None, 0
        for count, one in enumerate(listed, 1):  # noqa: B007 - it counts
            if one["IsLatest"]:
                current = one
        if current and "ETag" in current:  # a delete marker has none
            yield Pair(key, _upload(current, alone=count == 1), None)


def _in_order(page: Any) -> list[Any]:
    # Versions and markers of a page come apart; sorting keeps the order of what is of one key and kind.
    return sorted([*page.get("Versions", []), *page.get("DeleteMarkers", [])], key=itemgetter("Key"))


def _upload(listed: Any, *, alone: bool) -> Upload:
    version, etag = listed["VersionId"], listed["ETag"].strip('"')
    named = version != "null"  # one without a version is overwritten without a trace
    modified = listed["LastModified"].replace(microsecond=0)
    return Upload(version if named else etag, listed["Size"], modified, "-" in etag, alone=alone and named)


def _published(s3: Any, bucket: str, prefix: str) -> Iterator[Pair]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for listed in page.get("Contents", []):
            yield Pair(listed["Key"], None, listed["LastModified"].replace(microsecond=0))
