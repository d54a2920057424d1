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

S3 sends an event whenever another version becomes current: one was uploaded, or what stood above it, a
version or a delete marker, was removed for good. Nothing is published while a delete marker stands.
"""

import time

import msgspec

from chalicelib import telemetry
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
from chalicelib.settings import Settings

# Each lost attempt is another writer's success; after this many, Lambda's later retry is the better one.
ATTEMPTS = 10
# Seconds after its upload that S3 may not show an object, while its bucket's versioning is new.
SEEN_WITHIN = 15 * 60


class ForeignBucketError(Exception):
    """The event names an object of another bucket than the raw one."""


class ContentionError(Exception):
    """Others kept writing under the key, so nothing was published."""


class UnseenError(Exception):
    """S3 announced an upload a moment ago and does not show it yet; a later attempt will see it."""


class Publication:
    """One key on its way from the raw bucket to the processed and the rejected one."""

    def __init__(self, arrival: Arrival, store: ObjectStore, settings: Settings) -> None:
        self.name = telemetry.object_name(arrival.key, log_object_keys=settings.log_object_keys)
        self._arrival = arrival
        self._store = store
        self._settings = settings

    def publish(self) -> telemetry.ObjectEvent:
        """Make the processed object the one of the current raw object; returns what became of it."""
        if self._arrival.bucket != self._settings.raw_bucket:
            raise ForeignBucketError
        for attempt in range(1, ATTEMPTS + 1):
            try:
                outcome, is_current = self._attempt()
                if is_current:
                    return outcome
            except OvertakenError:
                pass
            telemetry.emit(telemetry.ObjectOvertaken(self.name, attempt))
        raise ContentionError

    def _attempt(self) -> tuple[telemetry.ObjectEvent, bool]:
        """Publish what is current; returns what became of it, and whether it still was current at the end."""
        published = self._store.head(self._settings.processed_bucket, self._arrival.key)
        source = self._store.open(self._settings.raw_bucket, self._arrival.key)
        if isinstance(source, Absence):
            return self._miss(source), True
        with source:
            if published and published.metadata == _origin(source) and not self._arrival.force:
                unchanged = telemetry.ObjectUnchanged(self.name, _version(source))
                telemetry.emit(unchanged)
                return unchanged, True
            try:
                outcome = self._extract(source, published)
            except OutOfTimeError as error:
                progress = OutOfTimeError(f"after {source.position} bytes")
                raise progress.with_traceback(error.__traceback__) from None
        return outcome, self._is_current(source.head)

    def _miss(self, absence: Absence) -> telemetry.ObjectEvent:
        missing = telemetry.ObjectMissing(self.name, deleted=absence is Absence.DELETED)
        telemetry.emit(missing)
        if absence is Absence.UNSEEN and time.time() - self._arrival.uploaded < SEEN_WITHIN:
            raise UnseenError
        return missing

    def _is_current(self, head: Head) -> bool:
        current = self._store.head(self._settings.raw_bucket, self._arrival.key)
        return current is not None and current.version == head.version

    def _extract(self, source: Source, published: Head | None) -> telemetry.ObjectEvent:
        condition = published.unchanged if published else IF_ABSENT
        started = time.monotonic()
        outcome: telemetry.ObjectEvent
        try:
            summary = self._transfer(source, condition)
        except MalformedScan as error:
            if error.reason == Reason.EMPTY and not source.position:
                outcome = telemetry.ObjectEmpty(self.name, _version(source))
            else:
                self._report(source, MalformedReport(error.reason, error.offset))
                outcome = self._malformed(source, error, started)
        else:
            if summary.refused:
                outcome = self._refused(source, summary, started)
            else:
                outcome = self._published(source, summary, started, replaced=published is not None)
        telemetry.emit(outcome)
        return outcome

    def _malformed(self, source: Source, error: MalformedScan, started: float) -> telemetry.ObjectMalformed:
        return telemetry.ObjectMalformed(
            self.name,
            version=_version(source),
            reason=telemetry.Reason(error.reason),
            offset=error.offset,
            milliseconds=_milliseconds_since(started),
        )

    def _published(
        self, source: Source, summary: Summary, started: float, *, replaced: bool
    ) -> telemetry.ObjectPublished:
        return telemetry.ObjectPublished(
            self.name,
            version=_version(source),
            extracted=summary.extracted,
            rejected=summary.rejected,
            bytes_read=summary.bytes_read,
            milliseconds=_milliseconds_since(started),
            replaced=replaced,
        )

    def _refused(self, source: Source, summary: Summary, started: float) -> telemetry.ObjectRefused:
        return telemetry.ObjectRefused(
            self.name,
            version=_version(source),
            rejected=summary.rejected,
            bytes_read=summary.bytes_read,
            milliseconds=_milliseconds_since(started),
        )

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


def _version(source: Source) -> telemetry.Version:
    # An object without a version goes by its ETag, a digest of its content: not for the log.
    head = source.head
    return telemetry.Version("null" if head.version == head.etag.strip('"') else head.version)


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
