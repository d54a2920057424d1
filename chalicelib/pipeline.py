"""Publish one key: read its raw object, extract the patients, and write the processed object.

The raw bucket has what somebody uploaded. The processed bucket has, under the same key, the patients of it.
S3 sends an event for each upload. Events can come twice, late or in any order, and several functions can
handle one key at once. So an event only means "look at this key". What is published depends on the objects
that are current at that moment:

1. HEAD the processed object. Its metadata says which raw version, and which revision of the extraction, it
   was made from.
2. GET the current raw object. If the processed object was made from it, with this revision: done.
3. Extract the records into an upload that stays invisible until it is completed. Rejected records are
   published first.
4. Complete the upload on condition that the processed object is still the one of step 1 (If-Match), or that
   there is still none (If-None-Match). If the condition fails, another function was faster: start again.
5. HEAD the raw object. If it is no longer the version that was just published: start again.

Step 5 closes two gaps of step 4. An ETag is a digest of the content: if the processed content changes from A
to B and back to A, a slow function that saw the first A passes the condition and publishes an old version.
And if somebody deletes the processed object, a slow function that saw none before passes as well.

Step 1 always comes before step 2. In the other order, an old raw version could replace a newer processed one.

Two shortcuts save requests:

- A small upload skips step 1 if the last small upload was new. Step 4 then requires that there is no
  processed object. If there is one, the function starts again with step 1.
- A new object that was published within RECHECK_AFTER seconds skips step 5. Step 5 could help only if, in
  this time, the raw object changed and then the processed object was deleted. The pipeline assumes that
  nobody deletes a processed object within RECHECK_AFTER seconds of an upload or removal of its raw object.

S3 also sends an event if a delete marker, or the newest version, is removed for good. The version below is
then current, and is published. Nothing is published while a delete marker is current.
"""

import time

import msgspec

from chalicelib import log_events, safe_names, telemetry
from chalicelib.events import Arrival
from chalicelib.extraction import REVISION, Summary, extract
from chalicelib.malformed import MalformedReport, MalformedScan, Reason, RefusedReport
from chalicelib.object_store import (
    IF_ABSENT,
    UNCONDITIONAL,
    Absence,
    Condition,
    Head,
    ObjectStore,
    OutOfTimeError,
    OvertakenError,
    Source,
    Upload,
)
from chalicelib.outcomes import Outcomes, version_of
from chalicelib.settings import Settings

# Each failed attempt means that another writer succeeded. After this many, leave it to Lambda's retry.
MAX_ATTEMPTS = 10
# Seconds after an upload in which S3 may answer 404, if versioning was enabled on the bucket a moment ago.
MAX_VISIBILITY_DELAY = 15 * 60
# Seconds after the GET from which step 5 also applies to new objects.
RECHECK_AFTER = 2


class ForeignBucketError(Exception):
    """The event names an object in another bucket than the raw bucket."""


class ContentionError(Exception):
    """Every attempt lost against another writer of the key, so nothing was published."""


class UnseenError(Exception):
    """S3 sent an event about a recent upload but answers 404. A later attempt will find the object."""


class Prediction:
    """Predicts that the next small upload is new if the last one was. An error costs two requests."""

    new = True


PREDICTION = Prediction()


class Publication:
    """Publishes one key from the raw bucket to the processed and the rejected bucket."""

    def __init__(self, arrival: Arrival, store: ObjectStore, settings: Settings) -> None:
        self.name = safe_names.object_name(arrival.key, log_object_keys=settings.log_object_keys)
        self._arrival = arrival
        self._store = store
        self._settings = settings
        # Not for a replay: most of its objects have been published before.
        self._uses_prediction = arrival.small and arrival.uploaded > 0 and not arrival.replayed

    def publish(self) -> log_events.ObjectEvent:
        """Publish the current raw object, unless that is done already; returns the outcome."""
        if self._arrival.bucket != self._settings.raw_bucket:
            raise ForeignBucketError
        if self._uses_prediction and PREDICTION.new and (outcome := self._attempt(None)):
            return outcome
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if outcome := self._attempt(self._look_up()):
                return outcome
            telemetry.emit(log_events.ObjectOvertaken(self.name, attempt))
        raise ContentionError

    def _look_up(self) -> Head | None:
        published = self._store.head(self._settings.processed_bucket, self._arrival.key)
        if self._uses_prediction:
            PREDICTION.new = published is None
        return published

    def _attempt(self, published: Head | None) -> log_events.ObjectEvent | None:
        """Replace `published` with the current version; None if another writer was faster: start again."""
        began = time.monotonic()
        source = self._store.open(self._settings.raw_bucket, self._arrival.key)
        if isinstance(source, Absence):
            return self._missing(source)
        with source:
            if published and published.metadata == _metadata(source) and not self._arrival.force:
                return self._unchanged(source)
            try:
                outcome = self._extract(source, published)
            except OvertakenError:
                return None
            except OutOfTimeError as error:
                progress = OutOfTimeError(f"after {source.position} bytes")
                raise progress.with_traceback(error.__traceback__) from None
        skip_recheck = published is None and time.monotonic() - began < RECHECK_AFTER
        return outcome if skip_recheck or self._is_current(source.head) else None

    def _unchanged(self, source: Source) -> log_events.ObjectEvent:
        unchanged = log_events.ObjectUnchanged(self.name, version_of(source.head))
        telemetry.emit(unchanged)
        return unchanged

    def _missing(self, absence: Absence) -> log_events.ObjectEvent:
        missing = log_events.ObjectMissing(self.name, deleted=absence is Absence.DELETED)
        telemetry.emit(missing)
        if absence is Absence.UNSEEN and time.time() - self._arrival.uploaded < MAX_VISIBILITY_DELAY:
            raise UnseenError
        return missing

    def _is_current(self, head: Head) -> bool:
        current = self._store.head(self._settings.raw_bucket, self._arrival.key)
        return current is not None and current.version == head.version

    def _extract(self, source: Source, published: Head | None) -> log_events.ObjectEvent:
        outcomes = Outcomes(self.name, source.head)
        outcome: log_events.ObjectEvent
        try:
            summary = self._publish_records(source, published.if_unchanged if published else IF_ABSENT)
        except MalformedScan as error:
            if error.reason == Reason.EMPTY and not source.position:
                outcome = outcomes.empty()
            else:
                self._report(source, MalformedReport(error.reason, error.offset))
                outcome = outcomes.malformed(error)
        else:
            outcome = outcomes.extracted(summary, replaced=published is not None)
        telemetry.emit(outcome)
        return outcome

    def _publish_records(self, source: Source, condition: Condition) -> Summary:
        with self._rejected(source) as rejected, self._processed(source, condition) as processed:
            summary = extract(source, processed.write, rejected.write, source.bounded)
            if summary.rejected:
                rejected.complete()
            if not summary.refused:
                processed.complete()
        if summary.refused:
            # The rejected records alone do not prove it: they are published first for every document.
            self._report(source, RefusedReport(summary.rejected), "refused.json")
        return summary

    def _report(self, source: Source, report: msgspec.Struct, suffix: str = "jsonl") -> None:
        with self._rejected(source, suffix) as upload:
            upload.write(msgspec.json.encode(report) + b"\n")
            upload.complete()

    def _processed(self, source: Source, condition: Condition) -> Upload:
        bucket, key = self._settings.processed_bucket, self._arrival.key
        return Upload(self._store, bucket, key, condition, "application/json", _metadata(source))

    def _rejected(self, source: Source, suffix: str = "jsonl") -> Upload:
        # No condition is needed: the key has the version, so every writer writes the same content.
        bucket, key = self._settings.rejected_bucket, f"{self._arrival.key}/{source.head.version}.{suffix}"
        return Upload(self._store, bucket, key, UNCONDITIONAL, "application/x-ndjson", _metadata(source))


def _metadata(source: Source) -> dict[str, str]:
    return {"source-version": source.head.version, "extraction-revision": REVISION}
