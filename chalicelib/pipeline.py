"""One key from raw to processed: publish what is current, whatever the event said and whenever it came.

An event is only a reason to look. What is published depends on what stands in the buckets at that moment,
so events may come twice, late or in any order:

1. HEAD the processed object: is there one, and what was it made from?
2. GET the current raw object. If that is what the processed object was made from: done.
3. Extract it into an upload that nobody sees until it is complete. What was rejected is published first.
4. Complete it only if the processed object is still the one of step 1. If it is not: start again.
5. HEAD the raw object: if it is no longer the one just published, start again.
   Step 4 alone lets two older versions pass. An ETag is a digest of content, so when content goes A, B, A, a
   slow writer of B passes. And when somebody deletes the processed object, so does any slow writer.

An upload of a small object is taken for a new one while the last such upload was new: step 1 is left out,
and step 4 completes only if nothing stands. If something does: start again, with step 1. What is published
is never looked at after the raw object that it is compared with has been read.

Step 5 is left out where nothing was replaced and less than FAST_WITHIN seconds went by. It could help only
if meanwhile the raw object had changed and then the processed one been deleted. Assumed is that nobody
deletes a processed object within FAST_WITHIN seconds of a change of its raw object: an upload or a removal.

S3 sends an event whenever another version becomes current: one was uploaded, or what stood above it, a
version or a delete marker, was removed for good. Nothing is published while a delete marker stands.
"""

import time

import msgspec

from chalicelib import log_events, safe_names, telemetry
from chalicelib.events import Arrival
from chalicelib.extraction import REVISION, Summary, extract
from chalicelib.malformed import MalformedReport, MalformedScan, Reason, RefusedReport
from chalicelib.object_store import (
    ANYWAY,
    IF_ABSENT,
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

# Each lost attempt is another writer's success; after this many, Lambda's later retry is the better one.
ATTEMPTS = 10
# Seconds after its upload that S3 may not show an object, while its bucket's versioning is new.
SEEN_WITHIN = 15 * 60
# Seconds after a change of a raw object in which nobody deletes the processed one.
FAST_WITHIN = 2


class ForeignBucketError(Exception):
    """The event names an object of another bucket than the raw one."""


class ContentionError(Exception):
    """Others kept writing under the key, so nothing was published."""


class UnseenError(Exception):
    """S3 announced an upload a moment ago and does not show it yet; a later attempt will see it."""


class Guess:
    """Whether the next small upload will be new, as the last was. A wrong guess costs two requests."""

    new = True


GUESS = Guess()


class Publication:
    """One key on its way from the raw bucket to the processed and the rejected one."""

    def __init__(self, arrival: Arrival, store: ObjectStore, settings: Settings) -> None:
        self.name = safe_names.object_name(arrival.key, log_object_keys=settings.log_object_keys)
        self._arrival = arrival
        self._store = store
        self._settings = settings
        # What is sent again on purpose has mostly been published before.
        self._guesses = arrival.small and arrival.uploaded > 0 and not arrival.replayed

    def publish(self) -> log_events.ObjectEvent:
        """Make the processed object the one of the current raw object; returns what became of it."""
        if self._arrival.bucket != self._settings.raw_bucket:
            raise ForeignBucketError
        if self._guesses and GUESS.new and (outcome := self._attempt(None)):
            return outcome
        for attempt in range(1, ATTEMPTS + 1):
            if outcome := self._attempt(self._look()):
                return outcome
            telemetry.emit(log_events.ObjectOvertaken(self.name, attempt))
        raise ContentionError

    def _look(self) -> Head | None:
        published = self._store.head(self._settings.processed_bucket, self._arrival.key)
        if self._guesses:
            GUESS.new = published is None
        return published

    def _attempt(self, published: Head | None) -> log_events.ObjectEvent | None:
        """Publish what is current in place of what was; None if that is not what stands in the end."""
        began = time.monotonic()
        source = self._store.open(self._settings.raw_bucket, self._arrival.key)
        if isinstance(source, Absence):
            return self._miss(source)
        with source:
            if published and published.metadata == _origin(source) and not self._arrival.force:
                return self._unchanged(source)
            try:
                outcome = self._extract(source, published)
            except OvertakenError:
                return None
            except OutOfTimeError as error:
                progress = OutOfTimeError(f"after {source.position} bytes")
                raise progress.with_traceback(error.__traceback__) from None
        quick = published is None and time.monotonic() - began < FAST_WITHIN
        return outcome if quick or self._is_current(source.head) else None

    def _unchanged(self, source: Source) -> log_events.ObjectEvent:
        unchanged = log_events.ObjectUnchanged(self.name, version_of(source.head))
        telemetry.emit(unchanged)
        return unchanged

    def _miss(self, absence: Absence) -> log_events.ObjectEvent:
        missing = log_events.ObjectMissing(self.name, deleted=absence is Absence.DELETED)
        telemetry.emit(missing)
        if absence is Absence.UNSEEN and time.time() - self._arrival.uploaded < SEEN_WITHIN:
            raise UnseenError
        return missing

    def _is_current(self, head: Head) -> bool:
        current = self._store.head(self._settings.raw_bucket, self._arrival.key)
        return current is not None and current.version == head.version

    def _extract(self, source: Source, published: Head | None) -> log_events.ObjectEvent:
        said = Outcomes(self.name, source.head)
        outcome: log_events.ObjectEvent
        try:
            summary = self._transfer(source, published.unchanged if published else IF_ABSENT)
        except MalformedScan as error:
            if error.reason == Reason.EMPTY and not source.position:
                outcome = said.empty()
            else:
                self._report(source, MalformedReport(error.reason, error.offset))
                outcome = said.malformed(error)
        else:
            outcome = said.extracted(summary, replaced=published is not None)
        telemetry.emit(outcome)
        return outcome

    def _transfer(self, source: Source, condition: Condition) -> Summary:
        with self._rejections(source) as rejected, self._processed(source, condition) as processed:
            summary = extract(source, processed.write, rejected.write)
            if summary.rejected:
                rejected.complete()
            if not summary.refused:
                processed.complete()
        if summary.refused:
            # The records alone do not prove it: those of any document are there before the rest is published.
            self._report(source, RefusedReport(summary.rejected), "refused.json")
        return summary

    def _report(self, source: Source, report: msgspec.Struct, kind: str = "jsonl") -> None:
        with self._rejections(source, kind) as upload:
            upload.write(msgspec.json.encode(report) + b"\n")
            upload.complete()

    def _processed(self, source: Source, condition: Condition) -> Upload:
        bucket, key = self._settings.processed_bucket, self._arrival.key
        return Upload(self._store, bucket, key, condition, "application/json", _origin(source))

    def _rejections(self, source: Source, kind: str = "jsonl") -> Upload:
        # The key names the version, so whoever writes it writes the same: no condition is needed.
        bucket, key = self._settings.rejected_bucket, f"{self._arrival.key}/{source.head.version}.{kind}"
        return Upload(self._store, bucket, key, ANYWAY, "application/x-ndjson", _origin(source))


def _origin(source: Source) -> dict[str, str]:
    return {"source-version": source.head.version, "extraction-revision": REVISION}
