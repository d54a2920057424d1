"""What stands in a stage's buckets of some keys: uploads, and all that was made of them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from infra.ops.aws.uploads import Buckets
from infra.ops.aws.versions import Version, versions, versions_of


class Wanted(NamedTuple):
    """A key, or all keys that begin so."""

    text: str
    is_prefix: bool = False

    def includes(self, key: str) -> bool:
        """Say whether a key is among them."""
        return key.startswith(self.text) if self.is_prefix else key == self.text

    def objects(self, s3: Any, bucket: str) -> Iterator[Version]:
        """List what stands in the raw or the processed bucket."""
        return versions(s3, bucket, self.text) if self.is_prefix else versions_of(s3, bucket, self.text)

    def reports(self, s3: Any, bucket: str) -> Iterator[Version]:
        """List what stands in the rejected bucket: directly below a key.

        Deeper down are the reports of other keys, which begin with this one and a slash.
        """
        if not self.is_prefix:
            return versions(s3, bucket, f"{self.text}/", Delimiter="/")
        found = versions(s3, bucket, self.text)
        return (one for one in found if self.includes(one.key.rpartition("/")[0]))


class Standing(NamedTuple):
    """Versions and delete markers, by the use of their bucket."""

    raw: list[Version]
    processed: list[Version]
    rejected: list[Version]

    @property
    def keys(self) -> set[str]:
        """Keys of uploads, and of what was published of them."""
        return {one.key for one in (*self.raw, *self.processed)}


def standing(s3: Any, buckets: Buckets, wanted: Sequence[Wanted]) -> Standing:
    """List all of it. Uploads come last: whatever was made of one, that one is listed, too."""
    published = [one for each in wanted for one in each.objects(s3, buckets.processed)]
    reports = [one for each in wanted for one in each.reports(s3, buckets.rejected)]
    uploads = [one for each in wanted for one in each.objects(s3, buckets.raw)]
    return Standing(uploads, published, reports)
