"""The log events that say what became of an object."""

import time

from chalicelib import log_events, safe_names
from chalicelib.extraction import Summary
from chalicelib.malformed import MalformedScan
from chalicelib.object_store import Head


class Outcomes:
    """Makes the event of each outcome of an extraction. Milliseconds count from the creation of this."""

    def __init__(self, name: safe_names.ObjectName, head: Head) -> None:
        self._name = name
        self._version = version_of(head)
        self._started = time.monotonic()

    def extracted(self, summary: Summary, *, replaced: bool) -> log_events.ObjectEvent:
        """Make the event of a published document, or of one that is refused because no record is valid."""
        if summary.refused:
            return log_events.ObjectRefused(
                self._name,
                version=self._version,
                rejected=summary.rejected,
                bytes_read=summary.bytes_read,
                milliseconds=self._milliseconds(),
            )
        return log_events.ObjectPublished(
            self._name,
            version=self._version,
            extracted=summary.extracted,
            rejected=summary.rejected,
            bytes_read=summary.bytes_read,
            milliseconds=self._milliseconds(),
            replaced=replaced,
        )

    def malformed(self, error: MalformedScan) -> log_events.ObjectMalformed:
        """Make the event of a malformed document."""
        return log_events.ObjectMalformed(
            self._name,
            version=self._version,
            reason=error.reason,
            offset=error.offset,
            milliseconds=self._milliseconds(),
        )

    def empty(self) -> log_events.ObjectEmpty:
        """Make the event of an object of 0 bytes."""
        return log_events.ObjectEmpty(self._name, self._version)

    def _milliseconds(self) -> int:
        return round((time.monotonic() - self._started) * 1000)


def version_of(head: Head) -> safe_names.Version:
    """Return the version for the log: "null" if it is an ETag, which is a digest of the content."""
    return safe_names.Version("null" if head.version == head.etag.strip('"') else head.version)
