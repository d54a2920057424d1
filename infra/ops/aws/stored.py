"""All versions that a stage's buckets store for some keys: uploads, and everything made from them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from infra.ops.aws.uploads import Buckets
from infra.ops.aws.versions import Version, versions, versions_of


class Wanted(NamedTuple):
    """A key, or a prefix of keys."""

    text: str
    is_prefix: bool = False

    def includes(self, key: str) -> bool:
        """Say whether a key matches."""
        return key.startswith(self.text) if self.is_prefix else key == self.text

    def objects(self, s3: Any, bucket: str) -> Iterator[Version]:
        """List matching versions in the raw or the processed bucket."""
        return versions(s3, bucket, self.text) if self.is_prefix else versions_of(s3, bucket, self.text)

    def reports(self, s3: Any, bucket: str) -> Iterator[Version]:
        """List versions of reports on matching keys in the rejected bucket.

        The reports on a key are directly below it. Objects further down are reports on longer keys.
        """
        if not self.is_prefix:
            return versions(s3, bucket, f"{self.text}/", Delimiter="/")
        found = versions(s3, bucket, self.text)
        return (one for one in found if self.includes(one.key.rpartition("/")[0]))


class Stored(NamedTuple):
    """Versions and delete markers, by bucket."""

    raw: list[Version]
    processed: list[Version]
    rejected: list[Version]

    @property
    def keys(self) -> set[str]:
        """Keys in the raw and the processed bucket."""
        return {one.key for one in (*self.raw, *self.processed)}


def list_stored(s3: Any, buckets: Buckets, wanted: Sequence[Wanted]) -> Stored:
    """List raw versions last, so that the list includes the source of everything else in it."""
    published = [one for each in wanted for one in each.objects(s3, buckets.processed)]
    reports = [one for each in wanted for one in each.reports(s3, buckets.rejected)]
    uploads = [one for each in wanted for one in each.objects(s3, buckets.raw)]
    return Stored(uploads, published, reports)
