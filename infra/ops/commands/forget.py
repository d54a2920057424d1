"""`forget`: delete an upload permanently, with everything that was made from it.

Handlers may be working on the key meanwhile, and must not bring anything back. So the order is:

1. Put a delete marker on the raw object. From now on no handler can start to read it: handlers read the
   current version, and a delete marker is not an error to them, however recent their event is.
2. Delete the raw versions below the marker, and what is in the processed and the rejected bucket.
3. A handler that opened the raw object before may still publish, as long as the function may run. Wait that
   long, and delete what came back.
4. Delete the marker. Later events find nothing. That is not an error either: their upload is too old by now
   to be one that S3 does not show yet.
5. Delete messages in the failure queue that name the key.

An upload of the same key after the command has listed the versions is a different upload: it is kept, and so
is everything that is made from it.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import boto3
from botocore.exceptions import ClientError

from chalicelib.pipeline import MAX_VISIBILITY_DELAY
from infra.ops.aws.failures import FailureQueue
from infra.ops.aws.place import Place
from infra.ops.aws.stored import Stored, Wanted, list_stored
from infra.ops.aws.versions import Version, hide, remove, versions_of
from infra.ops.screen.progress import Advance

GRACE = 60  # seconds, for a request that was in flight when its function was stopped
SWEEP_SECONDS = 30  # between two sweeps

type Kept = Mapping[str, set[str]]
"""By key, the versions of uploads that came later and are kept, named as the pipeline names them."""


def wait_seconds(place: Place) -> int:
    """Return how long something may come back: until handlers have ended and uploads are not new."""
    return max(place.timeout, MAX_VISIBILITY_DELAY) + GRACE


class Erasure:
    """Deletes what exists when it is created, and what is made from that later."""

    def __init__(self, place: Place, wanted: Sequence[Wanted]) -> None:
        self._s3: Any = boto3.client("s3", region_name=place.region)
        self._place = place
        self._wanted = wanted
        self.found = self._list_stored()
        self._requested = {one[:2] for one in self.found.raw}
        self._markers: dict[str, str] = {}
        self.keys = self.found.keys | {one.text for one in wanted if not one.is_prefix}
        self.removed: Counter[str] = Counter()
        """Deleted versions and delete markers, by the use of their bucket."""
        self.messages_removed = 0
        """Messages that were deleted from the failure queue."""
        self.messages_kept = 0
        """Messages that stay because they also name other keys."""
        self.has_unread_messages = False
        """Whether the failure queue may hold messages that were not received."""
        self.uploaded_again: set[str] = set()
        """Keys that were uploaded again meanwhile."""

    def run(self, advance: Advance, *, seconds: float, sweep_seconds: float = SWEEP_SECONDS) -> None:
        """Delete it, and what comes back within `seconds`; `advance` gets the seconds that have passed."""
        self._markers = hide(self._s3, self._place.buckets.raw, self.keys)
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            self._sweep()
            _wait(advance, began, min(elapsed + sweep_seconds, seconds), seconds)
        self._sweep()
        self._remove_markers(self.keys)
        self._clear_queue()

    def _list_stored(self) -> Stored:
        return list_stored(self._s3, self._place.buckets, self._wanted)

    def _sweep(self) -> None:
        found = self._list_stored()
        others = [one for one in found.raw if one[:2] not in self._requested]
        kept = _sources(one for one in others if not one.is_marker)
        self._remove("raw", [one for one in found.raw if one[:2] in self._requested])
        self._remove("processed", [one for one in found.processed if not self._is_published_of(one, kept)])
        self._remove("rejected", [one for one in found.rejected if not _is_report_of(one, kept)])
        self.uploaded_again |= set(kept)
        self._remove_markers(self.uploaded_again)

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
            return True  # somebody else has deleted it
        return head["Metadata"].get("source-version") in kept[one.key]

    def _remove_markers(self, keys: Iterable[str]) -> None:
        markers = [(key, self._markers.pop(key)) for key in self._markers.keys() & keys]
        remove(self._s3, self._place.buckets.raw, markers)

    def _clear_queue(self) -> None:
        with FailureQueue(self._place) as queue:
            for batch in queue.batches():
                for message in batch:
                    forgotten = {self._is_forgotten(*one[:2]) for one in message.names}
                    if forgotten == {True}:
                        queue.delete(message)
                        self.messages_removed += 1
                    self.messages_kept += forgotten == {True, False}
            self.has_unread_messages = not queue.drained or bool(queue.later)

    def _is_forgotten(self, bucket: str, key: str) -> bool:
        named = any(one.includes(key) for one in self._wanted)
        ours = named and bucket == self._place.buckets.raw and key not in self.uploaded_again
        # An upload since the last sweep needs its event.
        return ours and all(one.is_marker for one in versions_of(self._s3, bucket, key))


def _sources(uploads: Iterable[Version]) -> Kept:
    kept: dict[str, set[str]] = {}
    for one in uploads:
        kept.setdefault(one.key, set()).add(one.source)
    return kept


def _is_report_of(report: Version, kept: Kept) -> bool:
    key, _, name = report.key.rpartition("/")
    return name.startswith(tuple(kept.get(key, ())))


def _wait(advance: Advance, began: float, until: float, total: float) -> None:
    """Wait until `until` seconds have passed since the beginning."""
    while (elapsed := time.monotonic() - began) < until:
        advance(round(elapsed), round(total))
        time.sleep(min(1, until - elapsed))
    advance(round(until), round(total))
