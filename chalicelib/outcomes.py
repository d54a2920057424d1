"""What became of an object, worded for the log."""

import time

from chalicelib import log_events, safe_names
from chalicelib.extraction import Summary
from chalicelib.malformed import MalformedScan
from chalicelib.object_store import Head


class Outcomes:
    """The outcomes that the extraction of one object can have; their milliseconds count from here on."""

    def __init__(self, name: safe_names.ObjectName, head: Head) -> None:
        self._name = name
        self._version = version_of(head)
        self._started = time.monotonic()

    def extracted(self, summary: Summary, *, replaced: bool) -> log_events.ObjectEvent:
        """Say that it was published, or refused because no record is valid."""
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
        """Say that it was no use as a whole."""
        return log_events.ObjectMalformed(
            self._name,
            version=self._version,
            reason=error.reason,
            offset=error.offset,
            milliseconds=self._milliseconds(),
        )

    def empty(self) -> log_events.ObjectEmpty:
        """Say that it had 0 bytes."""
        return log_events.ObjectEmpty(self._name, self._version)

    def _milliseconds(self) -> int:
        return round((time.monotonic() - self._started) * 1000)


def version_of(head: Head) -> safe_names.Version:
    """Name a version in the log. One that goes by its ETag, a digest of its content, is not for the log."""
    return safe_names.Version("null" if head.version == head.etag.strip('"') else head.version)
