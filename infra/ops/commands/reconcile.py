"""`reconcile`: is everything published that should be? Found from the buckets alone, and only by reading.

Times only ever acquit: what they do not show to be current is looked at. Of what changes meanwhile, the worst
is that an object is called unpublished or outdated that no longer is; to replay it changes nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from chalicelib.events import SUFFIX
from infra.ops.aws.listing import Pair, Upload, merge_listings
from infra.ops.aws.place import Place
from infra.ops.aws.revisions import Deployed, Revisions
from infra.ops.aws.uploads import Buckets, head, revision_that_published_nothing

AT_ONCE = 32  # requests for single objects
AHEAD = 1000  # keys that are listed while an earlier one is looked at
# Longer than anybody takes to upload an object in one piece, and than clocks differ.
SURE = timedelta(hours=1)


class State(StrEnum):
    """What is found at a key, by its symbol."""

    CURRENT = "="
    UNPUBLISHED = "+"
    OUTDATED = "*"
    GONE = "-"
    HOPELESS = "!"
    LEFT_ALONE = "."


MEANINGS = {
    State.CURRENT: "current",
    State.UNPUBLISHED: "not published",
    State.OUTDATED: "published from another version or revision",
    State.GONE: "published, but the upload is gone",
    State.HOPELESS: "malformed or refused",
    State.LEFT_ALONE: f"left alone: no name in {SUFFIX}, or nothing in it",
}
TO_DO = {State.UNPUBLISHED, State.OUTDATED}


class Selection(NamedTuple):
    """Which keys: below a prefix; uploaded (or, if that is gone, published) in a window of time."""

    prefix: str = ""
    created_after: datetime = datetime.min.replace(tzinfo=UTC)
    created_before: datetime = datetime.max.replace(tzinfo=UTC)

    def has(self, pair: Pair) -> bool:
        """Say whether a key that begins so is of that window."""
        created = pair.upload.modified if pair.upload else pair.published
        return created is not None and self.created_after <= created < self.created_before


def reconcile(
    place: Place, now: Deployed, selection: Selection, *, thorough: bool
) -> Iterator[tuple[str, State]]:
    """Yield every selected key with its state, in the order of keys; `thorough` trusts no times."""
    config = Config(max_pool_connections=AT_ONCE, retries={"mode": "standard", "total_max_attempts": 10})
    s3 = boto3.client("s3", region_name=place.region, config=config)
    judge = Judge(s3, place.buckets, now, timedelta(seconds=place.timeout), thorough=thorough)
    pairs = filter(selection.has, merge_listings(s3, place.buckets, selection.prefix))
    return ((key, state) for key, state in _judged(pairs, judge) if state)


def _judged(pairs: Iterator[Pair], judge: "Judge") -> Iterator[tuple[str, State | None]]:
    pool = ThreadPoolExecutor(AT_ONCE)
    waiting: deque[tuple[str, Callable[[], State | None]]] = deque()
    try:
        for pair in pairs:
            waiting.append((pair.key, _found(pair, judge, pool)))
            if len(waiting) > AHEAD:
                yield _answered(waiting)
        while waiting:
            yield _answered(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _found(pair: Pair, judge: "Judge", pool: ThreadPoolExecutor) -> Callable[[], State | None]:
    state = judge.at_once(pair)
    return (lambda: state) if state else pool.submit(judge.look, pair).result


def _answered(waiting: deque[tuple[str, Callable[[], State | None]]]) -> tuple[str, State | None]:
    key, answer = waiting.popleft()
    return key, answer()


class Judge:
    """Finds the state of a key, as far as possible from what the buckets list."""

    def __init__(
        self, s3: Any, buckets: Buckets, now: Deployed, longest_run: timedelta, *, thorough: bool
    ) -> None:
        self._s3 = s3
        self._buckets = buckets
        self._longest_run = longest_run
        self._revisions = Revisions(now, longest_run)
        self._thorough = thorough
        self._began = datetime.now(UTC)

    def at_once(self, pair: Pair) -> State | None:
        """Judge by the listings alone; None where they do not tell."""
        key, upload, published = pair
        if not key.endswith(SUFFIX) or (upload and not upload.size):
            return State.LEFT_ALONE
        if published and not self._thorough:
            if not upload:
                # One that is younger may be of an upload that came after its part of the listing.
                return State.GONE if published < self._began - SURE else None
            if self._is_made_from(upload, published) and self._revisions.proven_by(published):
                return State.CURRENT
        return None

    def _is_made_from(self, upload: Upload, published: datetime) -> bool:
        """Say whether the times tell that what is published was made from this version.

        A version that came in parts may have become current long after it is dated, and the one before it
        been published meanwhile. Any other has no version before it, or had become current before whoever
        published could have begun.
        """
        later = published - upload.modified
        alone = upload.alone and later >= timedelta()
        return not upload.in_parts and (alone or later > self._longest_run + SURE)

    def look(self, pair: Pair) -> State | None:
        """Judge by looking at the objects; None if there is nothing to be said of the key any more."""
        if state := self.at_once(pair):  # more may be known by now
            return state
        key, upload, _ = pair
        if not upload:
            return None if head(self._s3, self._buckets.raw, key) else State.GONE
        published = head(self._s3, self._buckets.processed, key)
        if published and self._is_current(upload, published):
            return State.CURRENT
        tried = revision_that_published_nothing(self._s3, self._buckets.rejected, key, upload.version)
        if self._revisions.is_deployed(tried):
            return State.HOPELESS
        return State.OUTDATED if published else State.UNPUBLISHED

    def _is_current(self, upload: Upload, published: Any) -> bool:
        made_by = published["Metadata"].get("extraction-revision")
        self._revisions.learn(published["LastModified"], made_by)
        made_from = published["Metadata"].get("source-version")
        return made_from == upload.version and self._revisions.is_deployed(made_by)
