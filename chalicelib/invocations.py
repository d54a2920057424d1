"""Handle one invocation: publish every key that its event names. A failure does not stop the other keys."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from chalicelib import events, log_events, queues, replays, safe_names, telemetry
from chalicelib.events import Arrival
from chalicelib.object_store import ObjectStore, ObjectStoreError, time_limit
from chalicelib.pipeline import Publication
from chalicelib.s3 import CONNECTIONS
from chalicelib.settings import Settings

# Failures that an error message lists. The log has all of them.
MAX_LISTED = 10

type Clock = Callable[[], int]
"""Returns the milliseconds that remain to the invocation."""

type Address = tuple[str, str]
"""Bucket and key."""


class UploadsFailedError(Exception):
    """Some objects of the event could not be handled. The message lists their digests and errors.

    `failed` has their addresses, and None if records name no object.
    """

    def __init__(self, message: str, failed: frozenset[Address | None]) -> None:
        super().__init__(message)
        self.failed = failed


def answer(event: Any, store: ObjectStore, settings: Settings, remaining: Clock) -> Any:
    """Handle an event of any kind and return the response: None unless the event is a batch.

    Raises UploadsFailedError.
    """
    if batch := replays.read(event, settings.raw_bucket):
        return _answer_items(batch, store, settings, remaining)
    if queues.is_batch(event, settings.upload_queue):
        return _answer_messages(event, store, settings, remaining)
    handle(events.arrivals(event), store, settings, remaining)
    return None


def _answer_items(batch: replays.Batch, store: ObjectStore, settings: Settings, remaining: Clock) -> Any:
    items = [item for item in batch.items if item]
    outcomes = publish_all([item.arrival for item in items if item.wanted], store, settings, remaining)
    if failures := _unreadable(batch.items):
        raise UploadsFailedError(_message(failures, len(batch.items)), frozenset([None]))
    return batch.answer(items, [item.outcome(outcomes) for item in items])


def _answer_messages(event: Any, store: ObjectStore, settings: Settings, remaining: Clock) -> Any:
    failed: list[str] = []
    try:
        handle(events.arrivals(event), store, settings, remaining)
    except UploadsFailedError as error:
        failed = queues.failed_messages(event, error.failed)
        if len(failed) == len(event["Records"]):  # same effect as naming all, and Lambda counts an error
            raise
    if failed:
        telemetry.emit(log_events.MessagesFailed(len(failed)))
    return queues.answer(failed)


def handle(
    arrivals: Sequence[Arrival | None], store: ObjectStore, settings: Settings, remaining: Clock
) -> None:
    """Publish every key of an event once. None stands for a record that names no object.

    Raises UploadsFailedError after all keys have been tried. Its message is safe to log.
    """
    if not arrivals:
        telemetry.emit(log_events.NoUploads())
    outcomes = publish_all(filter(None, arrivals), store, settings, remaining)
    failed = {
        address: f"{outcome.object.digest} {outcome.error}"
        for address, outcome in outcomes.items()
        if isinstance(outcome, log_events.ObjectFailed)
    }
    unreadable = _unreadable(arrivals)
    if failures := [*failed.values(), *unreadable]:
        addresses = frozenset([*failed, *[None] * len(unreadable)])
        raise UploadsFailedError(_message(failures, len(outcomes) + len(unreadable)), addresses)


def publish_all(
    arrivals: Iterable[Arrival], store: ObjectStore, settings: Settings, remaining: Clock
) -> Mapping[Address, log_events.ObjectEvent]:
    """Publish every key once and return the outcome of each. A failure is an outcome, not an exception.

    Small objects are handled concurrently, because most of their time is spent waiting for S3. Other objects
    are handled one at a time, because each of them uses all memory and connections. The event may be wrong
    about the size: see Source.bounded.
    """
    keys = _latest_of_each_key(arrivals)
    small = [one for one in keys if one.small]
    others = [one for one in keys if not one.small]
    with time_limit(remaining):
        published = _publish_concurrently([Publication(one, store, settings) for one in small])
        published += [_publish(Publication(one, store, settings)) for one in others]
    outcomes = dict(zip([*small, *others], published, strict=True))
    return {one[:2]: outcomes[one] for one in keys}


def _latest_of_each_key(arrivals: Iterable[Arrival]) -> list[Arrival]:
    by_time = sorted(arrivals, key=lambda arrival: arrival.uploaded)
    return list({arrival[:2]: arrival for arrival in by_time}.values())


def _publish_concurrently(publications: Sequence[Publication]) -> list[log_events.ObjectEvent]:
    if len(publications) <= 1:  # a thread would only cost time
        return [_publish(one) for one in publications]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        # The context has the deadline.
        running = [threads.submit(copy_context().run, _publish, one) for one in publications]
    return [one.result() for one in running]


def _publish(publication: Publication) -> log_events.ObjectEvent:
    try:
        return publication.publish()
    except Exception as error:  # noqa: BLE001 - any error is logged, without its message
        failed = log_events.ObjectFailed(publication.name, _described(error), safe_names.locations(error))
    telemetry.emit(failed)
    return failed


def _described(error: Exception) -> safe_names.ErrorName:
    # The message of an ObjectStoreError is safe. That of any other error may quote a record or a key.
    message = f" {error}" if isinstance(error, ObjectStoreError) else ""
    return safe_names.ErrorName(type(error).__name__ + message)


def _unreadable(records: Sequence[object]) -> list[str]:
    if unreadable := records.count(None):
        telemetry.emit(log_events.RecordsUnreadable(unreadable))
    return ["unreadable record"] * unreadable


def _message(failures: list[str], uploads: int) -> str:
    more = f"; and {len(failures) - MAX_LISTED} more" if len(failures) > MAX_LISTED else ""
    return f"{len(failures)} of {uploads} uploads: {'; '.join(failures[:MAX_LISTED])}{more}"
