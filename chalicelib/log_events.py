"""The closed list of log events, each with its typed fields and the metrics that it counts.

To add a metric, add it to METRICS and to the `counts` of an event. No field takes free text: anything that
could contain patient data is a type of `safe_names`.
"""

from typing import ClassVar, Literal

import msgspec

from chalicelib.malformed import Reason
from chalicelib.safe_names import CodeLocation, ErrorName, ObjectName, Version

# Every metric, with its CloudWatch unit. Alarms and the dashboard use these names.
METRICS = {
    "ObjectsProcessed": "Count",
    "ObjectsUnchanged": "Count",
    "ObjectsMalformed": "Count",
    "ObjectsMissing": "Count",
    "ObjectsRefused": "Count",
    "ObjectsRepaired": "Count",
    "ObjectsEmpty": "Count",
    "ObjectsFailed": "Count",
    "RecordsExtracted": "Count",
    "RecordsRejected": "Count",
    "RecordsUnreadable": "Count",
    "DocumentsFailed": "Count",
    "MessagesFailed": "Count",
    "BytesRead": "Bytes",
    "Duration": "Milliseconds",
}


type Level = Literal["info", "warning", "error"]


class Event(msgspec.Struct, frozen=True):
    """One line in the log. The class gives its name, and its fields are all that it can contain."""

    counts: ClassVar[dict[str, str]] = {}  # metric -> the field with its value, or "" to count 1
    level: ClassVar[Level] = "info"

    def metrics(self) -> dict[str, int]:
        """Return the value that this event adds to each metric."""
        return {metric: getattr(self, field) if field else 1 for metric, field in self.counts.items()}

    def severity(self) -> Level:
        """Return the log level. It is above "info" if an alarm refers to this event: no setting hides it."""
        return self.level


class FunctionStarted(Event, frozen=True):
    """A cold start, with the files that the modules were imported from."""

    python: Version
    modules: list[CodeLocation]


class NoUploads(Event, frozen=True):
    """The event names no object, correctly: `s3:TestEvent`, which S3 sends to a new queue or topic."""


class RecordsUnreadable(Event, frozen=True):
    """Records of the event name no object. The invocation fails after the other records are handled."""

    counts = {"RecordsUnreadable": "records"}
    level = "error"
    records: int


class ObjectsRepaired(Event, frozen=True):
    """A scheduled replay published objects that their own events should have published long before."""

    counts = {"ObjectsRepaired": "objects"}
    level = "warning"
    objects: int


class MessagesFailed(Event, frozen=True):
    """Some messages of a batch failed. SQS delivers them again; the invocation itself is no error."""

    counts = {"MessagesFailed": "messages"}
    level = "error"
    messages: int


class ObjectEvent(Event, frozen=True):
    """An event about one uploaded object."""

    object: ObjectName


class ObjectPublished(ObjectEvent, frozen=True):
    """The object's patients were written to the processed bucket. Counts are records and bytes."""

    counts = {
        "ObjectsProcessed": "",
        "RecordsExtracted": "extracted",
        "RecordsRejected": "rejected",
        "BytesRead": "bytes_read",
        "Duration": "milliseconds",
    }
    version: Version
    extracted: int
    rejected: int
    bytes_read: int
    milliseconds: int
    replaced: bool

    def severity(self) -> Level:
        """Return "warning" if records were rejected."""
        return "warning" if self.rejected else "info"


class ObjectUnchanged(ObjectEvent, frozen=True):
    """The published object was already made from the current version."""

    counts = {"ObjectsUnchanged": ""}
    version: Version


class ObjectMissing(ObjectEvent, frozen=True):
    """There is no raw object: it was deleted, never existed, or is not visible yet."""

    counts = {"ObjectsMissing": ""}
    deleted: bool


class ObjectMalformed(ObjectEvent, frozen=True):
    """The document as a whole cannot be parsed. `offset` is in bytes of the decoded document."""

    counts = {"ObjectsMalformed": "", "Duration": "milliseconds"}
    level = "warning"
    version: Version
    reason: Reason
    offset: int
    milliseconds: int


class ObjectRefused(ObjectEvent, frozen=True):
    """The document has records, but none is valid, so nothing is published. It counts as malformed, too."""

    counts = {
        "ObjectsMalformed": "",
        "ObjectsRefused": "",
        "RecordsRejected": "rejected",
        "BytesRead": "bytes_read",
        "Duration": "milliseconds",
    }
    level = "warning"
    version: Version
    rejected: int
    bytes_read: int
    milliseconds: int


class ObjectEmpty(ObjectEvent, frozen=True):
    """The object has 0 bytes. A mounted bucket starts every file this way."""

    counts = {"ObjectsEmpty": ""}
    version: Version


class ObjectOvertaken(ObjectEvent, frozen=True):
    """Another writer published or uploaded in the meantime, so the handler starts again."""

    attempt: int


class ObjectFailed(ObjectEvent, frozen=True):
    """The object could not be handled. The invocation fails as well, unless it handles a batch."""

    counts = {"ObjectsFailed": ""}
    level = "error"
    error: ErrorName
    at: list[CodeLocation]


class DocumentAnswered(Event, frozen=True):
    """A posted document was answered with the HTTP status `status`. Counts are records and bytes."""

    counts = {"RecordsExtracted": "extracted", "RecordsRejected": "rejected", "BytesRead": "bytes_read"}
    status: int
    extracted: int = 0
    rejected: int = 0
    bytes_read: int = 0


class DocumentFailed(Event, frozen=True):
    """A posted document was answered with 500. Lambda does not count that as a failed invocation."""

    counts = {"DocumentsFailed": ""}
    level = "error"
    error: ErrorName
    at: list[CodeLocation]
