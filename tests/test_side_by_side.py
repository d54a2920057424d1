"""Many keys in one event: small objects are handled concurrently, others one at a time."""

import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, Timer, current_thread, main_thread
from typing import Any

import boto3
import pytest

from chalicelib import deadline, events, log_events, pipeline, s3, safe_names, telemetry
from chalicelib.deadline import MARGIN, Turn
from chalicelib.events import Arrival
from chalicelib.invocations import UploadsFailedError, handle, publish_all
from chalicelib.object_store import ObjectStore, ObjectStoreError
from chalicelib.s3 import CONNECTIONS
from chalicelib.settings import Settings
from tests.deployment import Deployment, new_key, structured
from tests.events import CONTEXT

SETTINGS = Settings("beside-raw", "beside-processed", "beside-rejected")
ALL_THE_TIME = 900_000


class WatchedStore(ObjectStore):
    """Records how many requests run at once.

    Requests for keys that end with "refused" fail, and writes of keys that end with "unwritable".
    """

    def __init__(self) -> None:
        super().__init__(boto3.client("s3", config=s3.CONFIG))
        self.most: Counter[str] = Counter()  # at once, by the first part of the key and by operation
        self.threads = set[object]()
        self.requests = 0
        self._lock = Lock()
        self._now: Counter[str] = Counter()

    def request(self, operation: str, **parameters: Any) -> Any:
        with self._recorded(operation, parameters["Key"]):
            if parameters["Key"].endswith("unwritable" if operation == "put_object" else "refused"):
                raise ObjectStoreError(f"{operation}: AccessDenied")
            return super().request(operation, **parameters)

    @contextmanager
    def _recorded(self, operation: str, key: str) -> Iterator[None]:
        with self._lock:
            self.requests += 1
            self.threads.add(current_thread())
            for counted in (kind := key.partition("/")[0], operation, "all"):
                self._now[counted] += 1
                self.most[counted] = max(self.most[counted], self._now[counted])
        time.sleep(0.02)
        try:
            yield
        finally:
            with self._lock:
                self._now.subtract([kind, operation, "all"])


@pytest.fixture(scope="module", autouse=True)
def buckets(deployment: Deployment) -> None:
    deployment.make_versioned(SETTINGS.raw_bucket, SETTINGS.processed_bucket, SETTINGS.rejected_bucket)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> WatchedStore:
    monkeypatch.setattr(pipeline.PREDICTION, "new", True)
    return WatchedStore()


def arrivals(kind: str, count: int, size: int | None = 1) -> list[Arrival]:
    keys = [f"{kind}/{new_key()}" for _ in range(count)]
    return [Arrival(SETTINGS.raw_bucket, key, 1, size) for key in keys]


def upload(
    deployment: Deployment, uploads: Iterable[Arrival], size: int = 0, pack: Callable[[bytes], bytes] = bytes
) -> None:
    """Upload scans with one patient each, whose name is the key, and an image of some size."""
    for key in (one.key for one in uploads):
        body = json.dumps([{"patient_id": "1", "patient_name": key, "image": "A" * size}]).encode()
        deployment.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key, Body=pack(body))


def ends_in(seconds: float) -> Callable[[], int]:
    """Return the clock of an invocation that can begin steps for some seconds."""
    end = time.monotonic() + seconds
    return lambda: MARGIN + int(1000 * (end - time.monotonic()))


def patient(deployment: Deployment, key: str) -> str:
    (one,) = json.loads(deployment.get(SETTINGS.processed_bucket, key))
    name: str = one["patient_name"]
    return name


def test_as_many_small_objects_are_handled_at_once_as_there_are_connections(
    deployment: Deployment, store: WatchedStore
) -> None:
    config: Any = s3.CONFIG
    small = arrivals("small", 3 * CONNECTIONS)
    upload(deployment, small)

    outcomes = publish_all(small, store, SETTINGS, lambda: ALL_THE_TIME)

    assert CONNECTIONS / 2 < store.most["all"] <= CONNECTIONS
    assert config.max_pool_connections == CONNECTIONS
    assert [address[1] for address in outcomes] == [one.key for one in small]
    assert {type(outcome) for outcome in outcomes.values()} == {log_events.ObjectPublished}
    assert [patient(deployment, one.key) for one in small] == [one.key for one in small]
    assert [outcome.object.digest for outcome in outcomes.values()] == [
        safe_names.object_name(one.key, log_object_keys=False).digest for one in small
    ]


def test_large_objects_and_those_of_unknown_size_are_handled_one_at_a_time(
    deployment: Deployment, store: WatchedStore
) -> None:
    small, large = arrivals("small", 4), arrivals("large", 2, events.SMALL + 1)
    unknown = arrivals("unknown", 2, None)
    upload(deployment, [*large, *small, *unknown])

    publish_all([*large, *small, *unknown], store, SETTINGS, lambda: ALL_THE_TIME)

    assert store.most["small"] > 1
    assert (store.most["large"], store.most["unknown"]) == (1, 1)
    assert store.most["all"] == store.most["small"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_objects_that_are_larger_than_announced_are_published_one_at_a_time(
    deployment: Deployment, store: WatchedStore, pack: Callable[[bytes], bytes]
) -> None:
    several = arrivals("announced", 6)
    upload(deployment, several, events.SMALL, pack)

    publish_all(several, store, SETTINGS, lambda: ALL_THE_TIME)

    assert store.most["get_object"] > 1
    assert store.most["put_object"] == 1
    assert [patient(deployment, one.key) for one in several] == [one.key for one in several]


def test_small_gzip_objects_are_published_concurrently(deployment: Deployment, store: WatchedStore) -> None:
    small = arrivals("small", 6)
    upload(deployment, small, events.SMALL - 1000, gzip.compress)

    publish_all(small, store, SETTINGS, lambda: ALL_THE_TIME)

    assert store.most["put_object"] > 1


def test_a_failure_lets_the_next_large_object_have_its_turn(
    deployment: Deployment, store: WatchedStore
) -> None:
    bad = [one._replace(key=f"{one.key}.unwritable") for one in arrivals("announced", 3)]
    good = arrivals("announced", 3)
    upload(deployment, [*bad, *good], events.SMALL)

    outcomes = publish_all([*bad, *good], store, SETTINGS, ends_in(10))

    assert [type(outcomes[one[:2]]) for one in good] == [log_events.ObjectPublished] * 3
    assert {getattr(outcomes[one[:2]], "error", None) for one in bad} == {
        "ObjectStoreError put_object: AccessDenied"
    }


@pytest.mark.parametrize("count", [1, 3])
def test_an_object_whose_turn_does_not_come_in_time_fails(
    deployment: Deployment, store: WatchedStore, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(deadline, "POLL_SECONDS", 0.01)
    waiting = arrivals("announced", count)
    upload(deployment, waiting, events.SMALL)
    (other := Turn()).take()
    much_later = Timer(10, other.end)
    much_later.start()
    outcomes = publish_all(waiting, store, SETTINGS, ends_in(1))
    much_later.cancel()
    other.end()

    errors = [getattr(outcome, "error", None) for outcome in outcomes.values()]
    assert errors == ["OutOfTimeError after 0 bytes"] * count
    assert not store.most["put_object"]


def test_a_single_key_is_handled_without_a_thread(deployment: Deployment, store: WatchedStore) -> None:
    (one,) = arrivals("small", 1)
    upload(deployment, [one])

    publish_all([one, one], store, SETTINGS, lambda: ALL_THE_TIME)

    assert store.threads == {main_thread()}


def test_a_failure_does_not_stop_the_other_keys_and_every_failure_is_reported(
    deployment: Deployment, store: WatchedStore, captured: pytest.CaptureFixture[str]
) -> None:
    good = arrivals("small", 6)
    bad = [one._replace(key=f"{one.key}.refused") for one in arrivals("small", 3)]
    upload(deployment, good)

    with pytest.raises(
        UploadsFailedError, match=r"^3 of 9 uploads: .{16} ObjectStoreError get_object: "
    ) as error:
        handle([*bad[:2], *good, bad[2]], store, SETTINGS, lambda: ALL_THE_TIME)

    assert str(error.value).count("AccessDenied") == 3
    assert [patient(deployment, one.key) for one in good] == [one.key for one in good]
    assert Counter(event["message"] for event in structured(captured.readouterr().out.splitlines())) == {
        "object_published": 6,
        "object_failed": 3,
    }


def test_the_deadline_applies_to_every_key(deployment: Deployment, store: WatchedStore) -> None:
    small = arrivals("small", 5)
    upload(deployment, small)

    outcomes = publish_all(small, store, SETTINGS, lambda: MARGIN - 1)

    errors = [outcome.error for outcome in outcomes.values() if isinstance(outcome, log_events.ObjectFailed)]
    assert errors == ["OutOfTimeError too little time is left"] * 5


def test_every_event_of_concurrent_threads_is_logged_and_counted(
    captured: pytest.CaptureFixture[str],
) -> None:
    event, interval = log_events.DocumentAnswered(200, extracted=1), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads are switched everywhere

    def emit_many(_event: object, _context: object) -> None:
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            list(threads.map(telemetry.emit, [event] * 2000))

    try:
        telemetry.instrumented(emit_many)({}, CONTEXT)
    finally:
        sys.setswitchinterval(interval)

    lines = [json.loads(line) for line in captured.readouterr().out.splitlines()]
    answered = [line for line in lines if line.get("message") == "document_answered"]
    assert [line["function_request_id"] for line in answered] == [CONTEXT.aws_request_id] * 2000
    assert sum(sum(line.get("RecordsExtracted", [])) for line in lines) == 2000
