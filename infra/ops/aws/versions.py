"""Versions and delete markers of a versioned bucket: listing and permanent deletion."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import merge
from itertools import batched
from typing import Any, NamedTuple

from infra.ops.errors import OperatorError

AT_ONCE = 1000  # S3's limit of DeleteObjects
# Characters that XML cannot contain. A key with one is deleted by DeleteObject, which has the key in its URL.
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class NotRemovedError(OperatorError):
    """S3 did not delete some versions; names its error codes, and no key."""


class Version(NamedTuple):
    """A version of an object, or a delete marker; `size` in bytes."""

    key: str
    id: str
    modified: datetime
    size: int
    etag: str
    is_marker: bool
    is_latest: bool

    @property
    def source(self) -> str:
        """The version as the pipeline names it: by ETag if S3 assigned no version id."""
        return self.etag.strip('"') or self.id if self.id == "null" else self.id


def versions(s3: Any, bucket: str, prefix: str, **more: str) -> Iterator[Version]:
    """List versions and delete markers below a prefix, keys in S3's order, the newest of each key first."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix, **more):
        # A page lists versions and markers apart. Keep the order of each list: a multipart upload is dated by
        # its start, so a version may be newer than one with a later date.
        found = (map(_version, page.get(kind, [])) for kind in ("Versions", "DeleteMarkers"))
        yield from merge(*found, key=_order)


def _order(one: Version) -> tuple[str, bool, float]:
    return one.key, not one.is_latest, -one.modified.timestamp()


def versions_of(s3: Any, bucket: str, key: str) -> Iterator[Version]:
    """List versions and delete markers of one key, the newest first."""
    for one in versions(s3, bucket, key):
        if one.key != key:  # a longer key comes after all versions of this one
            return
        yield one


def remove(s3: Any, bucket: str, found: Iterable[tuple[str, str]]) -> None:
    """Delete versions and markers permanently, by key and version id; raises NotRemovedError."""
    _delete(s3, bucket, [{"Key": key, "VersionId": version} for key, version in found])


def hide(s3: Any, bucket: str, keys: Iterable[str]) -> dict[str, str]:
    """Put a delete marker on each key; returns the markers' version ids, by key."""
    deleted = _delete(s3, bucket, [{"Key": key} for key in keys])
    return {one["Key"]: one["DeleteMarkerVersionId"] for one in deleted}


def _delete(s3: Any, bucket: str, objects: list[dict[str, str]]) -> list[dict[str, Any]]:
    plain = [one for one in objects if not NO_XML.search(one["Key"])]
    alone = [one for one in objects if NO_XML.search(one["Key"])]
    deleted = [one for batch in batched(plain, AT_ONCE) for one in _delete_batch(s3, bucket, batch)]
    for one in alone:
        answer = s3.delete_object(Bucket=bucket, **one)
        deleted.append({**one, "DeleteMarkerVersionId": answer.get("VersionId", "null")})
    return deleted


def _delete_batch(s3: Any, bucket: str, batch: tuple[dict[str, str], ...]) -> Any:
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": list(batch)})
    if errors := answer.get("Errors"):
        codes = ", ".join(sorted({error["Code"] for error in errors}))
        raise NotRemovedError(f"{len(errors)} versions could not be removed from {bucket}: {codes}.")
    return answer.get("Deleted", [])


def _version(one: dict[str, Any]) -> Version:
    etag = one.get("ETag")  # a delete marker has none
    return Version(
        one["Key"],
        one["VersionId"],
        one["LastModified"],
        one.get("Size", 0),
        etag or "",
        is_marker=etag is None,
        is_latest=one["IsLatest"],
    )
