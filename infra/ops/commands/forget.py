"""`forget`: an upload, and everything that was made of it, is removed for good.

Nothing may come back, whoever is at work on the key meanwhile. So the order is:

1. A delete marker on the raw object. From now on nobody can begin to read it: handlers read what is current,
   and take a marker calmly, however young their event is.
2. The raw versions below the marker; what stands in the processed and the rejected bucket.
3. A handler that had opened the raw object before may publish as long as the function may run. That is waited
   for, and what came back is removed.
4. The marker. Events that come even later find nothing; and their upload is too old by now for the pipeline
   to think that S3 does not show it yet, which would be a failure.
5. Messages in the failure queue that name the key.

What is uploaded under the key after the command has looked is another upload: it stays, and so does all that
is made of it.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import boto3
from botocore.exceptions import ClientError

from chalicelib.pipeline import SEEN_WITHIN
from infra.ops.aws.failures import FailureQueue
from infra.ops.aws.place import Place
from infra.ops.aws.stored import Stored, Wanted, list_stored
from infra.ops.aws.versions import Version, hide, remove, versions_of
from infra.ops.screen.progress import Advance

GRACE = 60  # seconds, for a request that was on its way when its function was stopped
PAUSE = 30  # seconds between two sweeps

type Kept = Mapping[str, set[str]]
"""By key, the versions of uploads that nobody asked to forget, as the pipeline calls them."""


def patience(place: Place) -> int:
    """Say for how many seconds something may come back: handlers have ended then, and uploads are not new."""
    return max(place.timeout, SEEN_WITHIN) + GRACE


class Forgetting:
    """One erasure, of what stands when it is made."""

    def __init__(self, place: Place, wanted: Sequence[Wanted]) -> None:
        self._s3: Any = boto3.client("s3", region_name=place.region)
        self._place = place
        self._wanted = wanted
        self.found = self._list_stored()
        self._asked = {one[:2] for one in self.found.raw}
        self._markers: dict[str, str] = {}
        self.keys = self.found.keys | {one.text for one in wanted if not one.is_prefix}
        self.removed: Counter[str] = Counter()
        """Versions and delete markers that were removed, by the use of their bucket."""
        self.messages = 0
        """Messages that were removed from the failure queue."""
        self.again: set[str] = set()
        """Keys that were uploaded again meanwhile."""
        self.shared = 0
        """Messages that stay, for they name other keys, too."""
        self.unread = False
        """Whether the failure queue may hold messages that were not seen."""

    def run(self, advance: Advance, *, patience: float, pause: float = PAUSE) -> None:
        """Remove it, and what comes back within so many seconds; `advance` is told how many are over."""
        self._markers = hide(self._s3, self._place.buckets.raw, self.keys)
        begun = time.monotonic()
        while (elapsed := time.monotonic() - begun) < patience:
            self._sweep()
            _wait(advance, begun, min(elapsed + pause, patience), patience)
        self._sweep()
        self._reveal(self.keys)
        self._clear_queue()

    def _list_stored(self) -> Stored:
        return list_stored(self._s3, self._place.buckets, self._wanted)

    def _sweep(self) -> None:
        there = self._list_stored()
        others = [one for one in there.raw if one[:2] not in self._asked]
        kept = _sources(one for one in others if not one.is_marker)
        self._remove("raw", [one for one in there.raw if one[:2] in self._asked])
        self._remove("processed", [one for one in there.processed if not self._is_published_of(one, kept)])
        self._remove("rejected", [one for one in there.rejected if not _is_report_of(one, kept)])
        self.again |= set(kept)
        self._reveal(self.again)

    def _remove(self, use: str, found: list[Version]) -> None:
        remove(self._s3, getattr(self._place.buckets, use), (one[:2] for one in found))
        self.removed[use] += len(found)

    def _is_published_of(self, one: Version, kept: Kept) -> bool:
        if one.key not in kept or one.is_marker:
            return one.key in kept
        try:
            head = self._s3.head_object(Bucket=self._place.buckets.processed, Key=one.key, VersionId=one.id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            return True  # somebody else has removed it
        return head["Metadata"].get("source-version") in kept[one.key]

    def _reveal(self, keys: Iterable[str]) -> None:
        """Take the markers of keys away."""
        markers = [(key, self._markers.pop(key)) for key in self._markers.keys() & keys]
        remove(self._s3, self._place.buckets.raw, markers)

    def _clear_queue(self) -> None:
        with FailureQueue(self._place) as queue:
            for batch in queue.batches():
                for message in batch:
                    forgotten = {self._is_forgotten(*one[:2]) for one in message.names}
                    if forgotten == {True}:
                        queue.delete(message)
                        self.messages += 1
                    self.shared += forgotten == {True, False}
            self.unread = not queue.drained or bool(queue.later)

    def _is_forgotten(self, bucket: str, key: str) -> bool:
        named = any(one.includes(key) for one in self._wanted)
        ours = named and bucket == self._place.buckets.raw and key not in self.again
        # What was uploaded since the last sweep needs its event.
        return ours and all(one.is_marker for one in versions_of(self._s3, bucket, key))


def _sources(uploads: Iterable[Version]) -> Kept:
    kept: dict[str, set[str]] = {}
    for one in uploads:
        kept.setdefault(one.key, set()).add(one.source)
    return kept


def _is_report_of(report: Version, kept: Kept) -> bool:
    key, _, name = report.key.rpartition("/")
    return name.startswith(tuple(kept.get(key, ())))


def _wait(advance: Advance, begun: float, until: float, total: float) -> None:
    """Wait until so many seconds after the beginning are over."""
    while (elapsed := time.monotonic() - begun) < until:
        advance(round(elapsed), round(total))
        time.sleep(min(1, until - elapsed))
    advance(round(until), round(total))
