"""What the functions say about themselves: a closed list of events, each with typed fields and its metrics.

No field takes free text. Whatever could carry a patient's words (record values, object keys, the
messages of exceptions) enters only through the functions below, which turn it into something that cannot.
"""

import hashlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import ClassVar, Literal, NewType

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "ikerian-data-pipeline"
LOG = "pipeline"  # not the app's name, which is the name of Chalice's own logger

# Every metric there is. Alarms and dashboards are built on these names.
METRICS = {
    "ObjectsProcessed": MetricUnit.Count,
    "ObjectsUnchanged": MetricUnit.Count,
    "ObjectsMalformed": MetricUnit.Count,
    "ObjectsMissing": MetricUnit.Count,
    "ObjectsRefused": MetricUnit.Count,
    "ObjectsRepaired": MetricUnit.Count,
    "ObjectsEmpty": MetricUnit.Count,
    "ObjectsFailed": MetricUnit.Count,
    "RecordsExtracted": MetricUnit.Count,
    "RecordsRejected": MetricUnit.Count,
    "RecordsUnreadable": MetricUnit.Count,
    "DocumentsFailed": MetricUnit.Count,
    "MessagesFailed": MetricUnit.Count,
    "BytesRead": MetricUnit.Bytes,
    "Duration": MetricUnit.Milliseconds,
}

# Powertools' metrics are not made for threads: some would be lost, and a line of them broken by another.
_ONE_AT_A_TIME = Lock()

FRAMES = 20  # of a traceback, the innermost: a recursion has a thousand

ObjectDigest = NewType("ObjectDigest", str)  # made by `object_name`
ObjectKey = NewType("ObjectKey", str)  # logged only where LOG_OBJECT_KEYS allows it
Version = NewType("Version", str)  # S3's version id
Reason = NewType("Reason", str)  # one of extraction's own reasons
ErrorName = NewType("ErrorName", str)  # a class name, with S3's operation and code where there is one
CodeLocation = NewType("CodeLocation", str)  # file, line and function of our code or a library's


class Event(msgspec.Struct, frozen=True):
    """One line in the log: the class gives its name, the fields are all that it can say."""

    counts: ClassVar[dict[str, str]] = {}  # metric -> the field that it adds up, or "" for one
    # An alarm points at a line in the log: no level that is set from outside may hide that line.
    level: ClassVar[Literal["info", "warning", "error"]] = "info"

    def metrics(self) -> dict[str, int]:
        """Values of the metrics that this event moves."""
        return {metric: getattr(self, field) if field else 1 for metric, field in self.counts.items()}


class FunctionStarted(Event, frozen=True):
    """A cold start: the code that runs, by where it was imported from."""

    python: Version
    modules: list[CodeLocation]


class NoUploads(Event, frozen=True):
    """An event that rightly names no object: the `s3:TestEvent` that S3 sends to a new queue or topic."""


class RecordsUnreadable(Event, frozen=True):
    """Parts of an event that name no object; they fail when the others have been handled."""

    counts = {"RecordsUnreadable": "records"}
    level = "error"
    records: int


class ObjectsRepaired(Event, frozen=True):
    """A scheduled replay published objects whose own events should have done so long ago."""

    counts = {"ObjectsRepaired": "objects"}
    level = "warning"
    objects: int


class MessagesFailed(Event, frozen=True):
    """Some messages of a batch failed and come again; the invocation, which is no error, told which."""

    counts = {"MessagesFailed": "messages"}
    level = "error"
    messages: int


class ObjectName(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which object, without saying its key, unless LOG_OBJECT_KEYS allows that."""

    digest: ObjectDigest
    key: ObjectKey | None = None


class ObjectEvent(Event, frozen=True):
    """Something that happened to an uploaded object."""

    object: ObjectName


class ObjectPublished(ObjectEvent, frozen=True):
    """The object's patients stand in the processed bucket; counts in records and bytes."""

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


class ObjectUnchanged(ObjectEvent, frozen=True):
    """What is published was made from the current version already."""

    counts = {"ObjectsUnchanged": ""}
    version: Version


class ObjectMissing(ObjectEvent, frozen=True):
    """There is nothing to publish: the object was deleted, or S3 knows of none, or shows it later."""

    counts = {"ObjectsMissing": ""}
    deleted: bool


class ObjectMalformed(ObjectEvent, frozen=True):
    """The object is no use as a whole; `offset` is in bytes of the decoded document."""

    counts = {"ObjectsMalformed": "", "Duration": "milliseconds"}
    level = "warning"
    version: Version
    reason: Reason
    offset: int
    milliseconds: int


class ObjectRefused(ObjectEvent, frozen=True):
    """The object has records, and none is valid: nothing is published. It counts as malformed, too."""

    counts = {
        "ObjectsMalformed": "",
        "ObjectsRefused": "",
        "RecordsRejected": "rejected",
        "BytesRead": "bytes_read",
        "Duration": "milliseconds",
    }
    version: Version
    rejected: int
    bytes_read: int
    milliseconds: int


class ObjectEmpty(ObjectEvent, frozen=True):
    """The object has 0 bytes: nothing yet, as where a mounted bucket begins to write a file."""

    counts = {"ObjectsEmpty": ""}
    version: Version


class ObjectOvertaken(ObjectEvent, frozen=True):
    """Somebody else published or uploaded in between; looking again at what is current."""

    attempt: int


class ObjectFailed(ObjectEvent, frozen=True):
    """The object could not be handled. The invocation fails, too, and Lambda tries again; not so a batch."""

    counts = {"ObjectsFailed": ""}
    level = "error"
    error: ErrorName
    at: list[CodeLocation]


class DocumentAnswered(Event, frozen=True):
    """A posted document was answered with `status`; counts in records and bytes."""

    counts = {"RecordsExtracted": "extracted", "RecordsRejected": "rejected", "BytesRead": "bytes_read"}
    status: int
    extracted: int = 0
    rejected: int = 0
    bytes_read: int = 0


class DocumentFailed(Event, frozen=True):
    """A posted document was answered with 500, which Lambda does not take for a failure."""

    counts = {"DocumentsFailed": ""}
    level = "error"
    error: ErrorName
    at: list[CodeLocation]


def emit(event: Event) -> None:
    """Write one event to the log and count it.

    Not while an exception is handled: should writing fail, Python would print that one too, with its words.
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    with _ONE_AT_A_TIME:
        getattr(_logger(), event.level)(name, extra=msgspec.to_builtins(event))
        for metric, value in event.metrics().items():
            _metrics().add_metric(metric, METRICS[metric], value)


def object_name(key: str, *, log_object_keys: bool) -> ObjectName:
    """Name an object in the log: by the first 16 hex digits of its key's SHA-256, and the key if allowed."""
    digest = ObjectDigest(hashlib.sha256(key.encode()).hexdigest()[:16])
    return ObjectName(digest, ObjectKey(key) if log_object_keys else None)


def error_name(error: BaseException) -> ErrorName:
    """Name an error by its class alone; its message may quote a record or a key."""
    return ErrorName(type(error).__name__)


def locations(error: BaseException) -> list[CodeLocation]:
    """Say where an error was raised, innermost last, without the words of the lines."""
    frames = traceback.extract_tb(error.__traceback__, limit=-FRAMES)
    return [CodeLocation(f"{Path(f.filename).name}:{f.lineno} {f.name}") for f in frames]


def traced[**P, R](handler: Callable[P, R]) -> Callable[P, R]:
    """Wrap a Lambda handler: its request id on every line, its metrics flushed, its cold start announced."""

    def measured(*args: P.args, **kwargs: P.kwargs) -> R:
        _announce()
        try:
            return handler(*args, **kwargs)
        finally:
            _flush()

    # False, not unset: unset would let an environment variable have whole events logged.
    logged: Callable[P, R] = _logger().inject_lambda_context(measured, log_event=False, clear_state=True)
    return logged


def _flush() -> None:
    if _metrics().provider.metric_set:  # Powertools warns about an empty set, which is nothing unusual here
        _metrics().flush_metrics()


@cache
def _announce() -> None:
    python = Version(".".join(map(str, sys.version_info[:3])))
    modules = [sys.modules[name].__file__ for name in ("aws_lambda_powertools", "chalicelib", "msgspec")]
    emit(FunctionStarted(python=python, modules=[CodeLocation(str(module)) for module in modules]))


@cache
def _logger() -> Logger:
    # Libraries speak freely, boto3 even of whole requests, and Lambda prints what reaches the root logger.
    logging.getLogger().handlers = [logging.NullHandler()]
    # No trace id: whoever invokes the function may put anything into that header.
    return Logger(service=LOG, location=None, utc=True, use_rfc3339=True, xray_trace_id=None)


@cache
def _metrics() -> Metrics:
    # No service, not an unset one: unset would let an environment variable add a dimension.
    metrics = Metrics(namespace=NAMESPACE, service="")
    metrics.set_default_dimensions(function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "none"))
    return metrics
