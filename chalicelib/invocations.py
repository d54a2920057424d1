"""One invocation: every key that its event names, published; one that fails hides no other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chalicelib import events, replays, telemetry
from chalicelib.events import Arrival
from chalicelib.object_store import ObjectStore, ObjectStoreError, within
from chalicelib.pipeline import Publication
from chalicelib.settings import Settings

# Failures that an error names; the log has them all.
TOLD = 10

type Clock = Callable[[], int]
"""Milliseconds that are left to the invocation."""

type Address = tuple[str, str]
"""Bucket and key."""


class UploadsFailedError(Exception):
    """Some of an event's uploads could not be handled: digests and causes. Lambda sends the event again."""


def answer(event: Any, store: ObjectStore, settings: Settings, remaining: Clock) -> Any:
    """Do what an event asks for; returns what its sender expects: outcomes of a batch, nothing of an upload.

    Raises UploadsFailedError, of a batch only for what names no object.
    """
    if batch := replays.read(event, settings.raw_bucket):
        return _answer_items(batch, store, settings, remaining)
    handle(events.arrivals(event), store, settings, remaining)
    return None


def _answer_items(batch: replays.Batch, store: ObjectStore, settings: Settings, remaining: Clock) -> Any:
    items = [item for item in batch.items if item]
    outcomes = publish_all([item.arrival for item in items if item.wanted], store, settings, remaining)
    if failures := _unreadable(batch.items):
        raise UploadsFailedError(_listed(failures, len(batch.items)))
    return batch.answer(items, [item.outcome(outcomes) for item in items])


def handle(
    arrivals: Sequence[Arrival | None], store: ObjectStore, settings: Settings, remaining: Clock
) -> None:
    """Publish every key of an event once.

    None stands for a record that names no object. Raises UploadsFailedError when all have been tried.
    Its message, unlike its causes, is safe to log.
    """
    if not arrivals:
        telemetry.emit(telemetry.NoUploads())
    outcomes = publish_all(filter(None, arrivals), store, settings, remaining)
    failures = [
        f"{failed.object.digest} {failed.error}"
        for failed in outcomes.values()
        if isinstance(failed, telemetry.ObjectFailed)
    ]
    failures += (unreadable := _unreadable(arrivals))
    if failures:
        raise UploadsFailedError(_listed(failures, len(outcomes) + len(unreadable)))


def publish_all(
    arrivals: Iterable[Arrival], store: ObjectStore, settings: Settings, remaining: Clock
) -> Mapping[Address, telemetry.ObjectEvent]:
    """Publish every key once; returns what became of each. Raises nothing: a failure is an outcome, too."""
    with within(remaining):
        return {one[:2]: _outcome(Publication(one, store, settings)) for one in _last_of_each_key(arrivals)}


def _last_of_each_key(arrivals: Iterable[Arrival]) -> list[Arrival]:
    by_time = sorted(arrivals, key=lambda arrival: arrival.uploaded)
    return list({arrival[:2]: arrival for arrival in by_time}.values())


def _outcome(publication: Publication) -> telemetry.ObjectEvent:
    try:
        return publication.publish()
    except Exception as error:  # noqa: BLE001 - any: it is told without its words
        failed = telemetry.ObjectFailed(publication.name, _cause(error), telemetry.locations(error))
    telemetry.emit(failed)
    return failed


def _cause(error: Exception) -> telemetry.ErrorName:
    # The words of these are S3's codes and numbers; those of any other may quote a record or a key.
    words = f" {error}" if isinstance(error, ObjectStoreError) else ""
    return telemetry.ErrorName(type(error).__name__ + words)


def _unreadable(records: Sequence[object]) -> list[str]:
    if unreadable := records.count(None):
        telemetry.emit(telemetry.RecordsUnreadable(unreadable))
    return ["unreadable record"] * unreadable


def _listed(failures: list[str], uploads: int) -> str:
    more = f"; and {len(failures) - TOLD} more" if len(failures) > TOLD else ""
    return f"{len(failures)} of {uploads} uploads: {'; '.join(failures[:TOLD])}{more}"
