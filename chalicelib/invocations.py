"""One invocation: every key that its event names, published; one that fails hides no other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from chalicelib import events, log_events, queues, replays, safe_names, telemetry
from chalicelib.events import Arrival
from chalicelib.object_store import ObjectStore, ObjectStoreError, within
from chalicelib.pipeline import Publication
from chalicelib.s3 import CONNECTIONS
from chalicelib.settings import Settings

# Failures that an error names; the log has them all.
TOLD = 10

type Clock = Callable[[], int]
"""Milliseconds that are left to the invocation."""

type Address = tuple[str, str]
"""Bucket and key."""


class UploadsFailedError(Exception):
    """Some of an event's uploads could not be handled: digests and causes. Lambda sends the event again.

    `failed` are their addresses; None stands for records that name no object.
    """

    def __init__(self, words: str, failed: frozenset[Address | None]) -> None:
        super().__init__(words)
        self.failed = failed


def answer(event: Any, store: ObjectStore, settings: Settings, remaining: Clock) -> Any:
    """Handle an event of any shape; returns what its sender is to be told: of uploads nothing.

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
        raise UploadsFailedError(_listed(failures, len(batch.items)), frozenset([None]))
    return batch.answer(items, [item.outcome(outcomes) for item in items])


def _answer_messages(event: Any, store: ObjectStore, settings: Settings, remaining: Clock) -> Any:
    failed: list[str] = []
    try:
        handle(events.arrivals(event), store, settings, remaining)
    except UploadsFailedError as error:
        failed = queues.failed_messages(event, error.failed)
        if len(failed) == len(event["Records"]):  # the same to Lambda, which counts it as an error, too
            raise
    if failed:
        telemetry.emit(log_events.MessagesFailed(len(failed)))
    return queues.answer(failed)


def handle(
    arrivals: Sequence[Arrival | None], store: ObjectStore, settings: Settings, remaining: Clock
) -> None:
    """Publish every key of an event once.

    None stands for a record that names no object. Raises UploadsFailedError when all have been tried.
    Its message, unlike its causes, is safe to log.
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
        raise UploadsFailedError(_listed(failures, len(outcomes) + len(unreadable)), addresses)


def publish_all(
    arrivals: Iterable[Arrival], store: ObjectStore, settings: Settings, remaining: Clock
) -> Mapping[Address, log_events.ObjectEvent]:
    """Publish every key once; returns what became of each. Raises nothing: a failure is an outcome, too.

    Small objects are handled side by side, for S3 takes longer to answer than we to ask. All others come one
    at a time: each takes the memory and the connection that there are.
    """
    keys = _last_of_each_key(arrivals)
    small = [one for one in keys if one.small]
    others = [one for one in keys if not one.small]
    with within(remaining):
        events = _side_by_side([Publication(one, store, settings) for one in small])
        events += [_outcome(Publication(one, store, settings)) for one in others]
    told = dict(zip([*small, *others], events, strict=True))
    return {one[:2]: told[one] for one in keys}


def _last_of_each_key(arrivals: Iterable[Arrival]) -> list[Arrival]:
    by_time = sorted(arrivals, key=lambda arrival: arrival.uploaded)
    return list({arrival[:2]: arrival for arrival in by_time}.values())


def _side_by_side(publications: Sequence[Publication]) -> list[log_events.ObjectEvent]:
    if len(publications) <= 1:  # a thread would only cost
        return [_outcome(one) for one in publications]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        # The time that is left is in the context.
        running = [threads.submit(copy_context().run, _outcome, one) for one in publications]
    return [one.result() for one in running]


def _outcome(publication: Publication) -> log_events.ObjectEvent:
    try:
        return publication.publish()
    except Exception as error:  # noqa: BLE001 - any: it is told without its words
        failed = log_events.ObjectFailed(publication.name, _cause(error), safe_names.locations(error))
    telemetry.emit(failed)
    return failed


def _cause(error: Exception) -> safe_names.ErrorName:
    # The words of these are S3's codes and numbers; those of any other may quote a record or a key.
    words = f" {error}" if isinstance(error, ObjectStoreError) else ""
    return safe_names.ErrorName(type(error).__name__ + words)


def _unreadable(records: Sequence[object]) -> list[str]:
    if unreadable := records.count(None):
        telemetry.emit(log_events.RecordsUnreadable(unreadable))
    return ["unreadable record"] * unreadable


def _listed(failures: list[str], uploads: int) -> str:
    more = f"; and {len(failures) - TOLD} more" if len(failures) > TOLD else ""
    return f"{len(failures)} of {uploads} uploads: {'; '.join(failures[:TOLD])}{more}"
