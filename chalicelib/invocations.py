"""One invocation: every key that its event names, published; one that fails hides no other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from chalicelib import telemetry
from chalicelib.events import Arrival
from chalicelib.object_store import CONNECTIONS, ObjectStore, ObjectStoreError, within
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
    if unreadable := arrivals.count(None):
        telemetry.emit(telemetry.RecordsUnreadable(unreadable))
        failures += ["unreadable record"] * unreadable
    if failures:
        raise UploadsFailedError(_listed(failures, len(outcomes) + unreadable))


def publish_all(
    arrivals: Iterable[Arrival], store: ObjectStore, settings: Settings, remaining: Clock
) -> Mapping[Address, telemetry.ObjectEvent]:
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


def _side_by_side(publications: Sequence[Publication]) -> list[telemetry.ObjectEvent]:
    if len(publications) <= 1:  # a thread would only cost
        return [_outcome(one) for one in publications]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        # The time that is left is in the context.
        running = [threads.submit(copy_context().run, _outcome, one) for one in publications]
    return [one.result() for one in running]


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


def _listed(failures: list[str], uploads: int) -> str:
    more = f"; and {len(failures) - TOLD} more" if len(failures) > TOLD else ""
    return f"{len(failures)} of {uploads} uploads: {'; '.join(failures[:TOLD])}{more}"
