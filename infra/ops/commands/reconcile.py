"""`reconcile`: compare what is published with what was uploaded. Reads the buckets, and changes nothing.

Timestamps can only prove that an object is current. Where they do not, its metadata is read. An object that
changes meanwhile may be reported as unpublished or outdated although it is current by then. That is harmless:
to replay it changes nothing.
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

THREADS = 32  # for requests for single objects
LOOKAHEAD = 1000  # keys that are listed while requests for earlier ones are pending
# More than the longest upload of an object with one request, and than the difference of clocks.
MARGIN = timedelta(hours=1)


class State(StrEnum):
    """The state of a key. The value is the symbol to print."""

    CURRENT = "="
    UNPUBLISHED = "+"
    OUTDATED = "*"
    GONE = "-"
    UNPUBLISHABLE = "!"
    IGNORED = "."


MEANINGS = {
    State.CURRENT: "current",
    State.UNPUBLISHED: "not published",
    State.OUTDATED: "published from another version or revision",
    State.GONE: "published, but the upload is gone",
    State.UNPUBLISHABLE: "malformed or refused",
    State.IGNORED: f"ignored: the key does not end in {SUFFIX}, or 0 bytes",
}
TO_DO = {State.UNPUBLISHED, State.OUTDATED}


class Selection(NamedTuple):
    """Which keys: with a prefix; uploaded (or, if the upload is gone, published) in a window of time."""

    prefix: str = ""
    created_after: datetime = datetime.min.replace(tzinfo=UTC)
    created_before: datetime = datetime.max.replace(tzinfo=UTC)

    def has(self, pair: Pair) -> bool:
        """Say whether a key with the prefix is in the window."""
        created = pair.upload.modified if pair.upload else pair.published
        return created is not None and self.created_after <= created < self.created_before


def reconcile(
    place: Place, deployed: Deployed, selection: Selection, *, thorough: bool
) -> Iterator[tuple[str, State]]:
    """Yield every selected key with its state, in the order of keys. `thorough` ignores timestamps."""
    config = Config(max_pool_connections=THREADS, retries={"mode": "standard", "total_max_attempts": 10})
    s3 = boto3.client("s3", region_name=place.region, config=config)
    longest_run = timedelta(seconds=place.timeout)
    classifier = Classifier(s3, place.buckets, deployed, longest_run, thorough=thorough)
    pairs = filter(selection.has, merge_listings(s3, place.buckets, selection.prefix))
    return ((key, state) for key, state in _classified(pairs, classifier) if state)


def _classified(pairs: Iterator[Pair], classifier: "Classifier") -> Iterator[tuple[str, State | None]]:
    pool = ThreadPoolExecutor(THREADS)
    pending: deque[tuple[str, Callable[[], State | None]]] = deque()
    try:
        for pair in pairs:
            pending.append((pair.key, _result(pair, classifier, pool)))
            if len(pending) > LOOKAHEAD:
                yield _next(pending)
        while pending:
            yield _next(pending)
    finally:
        pool.shutdown(cancel_futures=True)


def _result(pair: Pair, classifier: "Classifier", pool: ThreadPoolExecutor) -> Callable[[], State | None]:
    state = classifier.from_listings(pair)
    return (lambda: state) if state else pool.submit(classifier.from_objects, pair).result


def _next(pending: deque[tuple[str, Callable[[], State | None]]]) -> tuple[str, State | None]:
    key, result = pending.popleft()
    return key, result()


class Classifier:
    """Finds the state of a key, from the listings of the buckets where that is possible."""

    def __init__(
        self, s3: Any, buckets: Buckets, deployed: Deployed, longest_run: timedelta, *, thorough: bool
    ) -> None:
        self._s3 = s3
        self._buckets = buckets
        self._longest_run = longest_run
        self._revisions = Revisions(deployed, longest_run)
        self._thorough = thorough
        self._began = datetime.now(UTC)

    def from_listings(self, pair: Pair) -> State | None:
        """Find the state from the listings; None if they are not enough."""
        key, upload, published = pair
        if not key.endswith(SUFFIX) or (upload and not upload.size):
            return State.IGNORED
        if published and not self._thorough:
            if not upload:
                # A younger one may belong to an upload that came after that page was listed.
                return State.GONE if published < self._began - MARGIN else None
            if self._is_made_from(upload, published) and self._revisions.proven_by(published):
                return State.CURRENT
        return None

    def _is_made_from(self, upload: Upload, published: datetime) -> bool:
        """Say whether the timestamps prove that the publication was made from this version.

        A multipart upload is dated by its beginning, so an earlier version may have been published after that
        date: the timestamps prove nothing. Otherwise they do if the key has no earlier version, or if the
        version was current before the handler that published could have started.
        """
        later = published - upload.modified
        alone = upload.alone and later >= timedelta()
        return not upload.in_parts and (alone or later > self._longest_run + MARGIN)

    def from_objects(self, pair: Pair) -> State | None:
        """Find the state from the objects' metadata; None if neither object exists any more."""
        if state := self.from_listings(pair):  # more revisions may be known by now
            return state
        key, upload, _ = pair
        if not upload:
            return None if head(self._s3, self._buckets.raw, key) else State.GONE
        published = head(self._s3, self._buckets.processed, key)
        if published and self._is_current(upload, published):
            return State.CURRENT
        refused_by = revision_that_published_nothing(self._s3, self._buckets.rejected, key, upload.version)
        if self._revisions.is_deployed(refused_by):
            return State.UNPUBLISHABLE
        return State.OUTDATED if published else State.UNPUBLISHED

    def _is_current(self, upload: Upload, published: Any) -> bool:
        revision = published["Metadata"].get("extraction-revision")
        self._revisions.learn(published["LastModified"], revision)
        version = published["Metadata"].get("source-version")
        return version == upload.version and self._revisions.is_deployed(revision)
