"""Large objects: ranges are read concurrently, parts are sent concurrently, and no thread is left."""

import threading
import time
from collections.abc import Iterator
from itertools import chain, repeat
from math import ceil
from typing import Any

import pytest

from chalicelib import source
from chalicelib.deadline import MARGIN, time_limit
from chalicelib.object_store import (
    UNCONDITIONAL,
    ObjectStore,
    ObjectStoreError,
    OutOfTimeError,
    OvertakenError,
    Source,
    Upload,
)
from chalicelib.source import MAX_RESUMES, PARALLEL_RANGES
from tests.deployment import Deployment, new_key
from tests.faults import REFUSALS, Cut, OtherRange, Refused, Slow, planned
from tests.faulty_s3 import Ending, Fault, FaultyS3, Wire
from tests.reads_and_writes import ATTEMPTS, BODY, CONNECTIONS, PART, PASSING, named, publish, read

RANGE = 50_000
RANGES = ceil(len(BODY) / RANGE)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, stored_key: str) -> str:
    """Return the key of an object that is read in ranges."""
    monkeypatch.setattr(source, "RANGE_SIZE", RANGE)
    monkeypatch.setattr(source, "SINGLE_REQUEST_SIZE", RANGE)
    return stored_key


@pytest.fixture(autouse=True)
def assert_no_thread_is_left() -> Iterator[None]:
    yield
    assert not running_threads()


def running_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("ThreadPoolExecutor")]


def opened(store: ObjectStore, deployment: Deployment, key: str) -> Source:
    opened = store.open(deployment.processed, key)
    assert isinstance(opened, Source)
    return opened


class Held(Fault):
    """The request waits until it is released."""

    def __init__(self) -> None:
        self.arrived, self.released = threading.Event(), threading.Event()

    def play(self, wire: Wire) -> None:
        self.arrived.set()
        self.released.wait(10)
        super().play(wire)


def test_a_large_object_is_read_in_ranges_of_one_version(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str
) -> None:
    assert read(faulty_store, deployment.processed, large) == BODY

    whole, *ranges = [exchange.range for exchange in s3.exchanges]
    assert whole is None
    assert len(ranges) == RANGES
    assert f"bytes={RANGE}-{2 * RANGE - 1}" in ranges


def test_three_ranges_are_read_concurrently(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str
) -> None:
    held = [Held() for _ in range(3)]
    s3.policy = planned(get_object=[None, *held])

    with opened(faulty_store, deployment, large) as stream:
        reading = threading.Thread(target=lambda: [*stream])
        reading.start()
        assert all(one.arrived.wait(5) for one in held)
        for one in held:
            one.released.set()
        reading.join()

    assert stream.position == len(BODY)


def test_no_more_ranges_are_read_ahead_than_the_limit(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str
) -> None:
    with opened(faulty_store, deployment, large) as stream:
        next(iter(stream))
        time.sleep(0.3)

        assert s3.operations["get_object"] == 1 + PARALLEL_RANGES + 1


def test_small_objects_use_no_thread(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str
) -> None:
    with opened(faulty_store, deployment, stored_key) as stream:
        assert len(b"".join(stream)) == len(BODY)
        assert not running_threads()
    with Upload(
        faulty_store, deployment.processed, new_key(), UNCONDITIONAL, "application/json", {}
    ) as upload:
        upload.write(b"x" * 1000)
        upload.complete()
        assert not running_threads()

    assert s3.operations == {"get_object": 1, "put_object": 1}


@pytest.mark.parametrize(
    "breaks",
    [[None] * nth + [cut] for nth in range(RANGES) for cut in (Cut(0), Cut(0.5), Cut(-1, Ending.CLOSED))],
    ids=lambda breaks: f"{len(breaks)} {named(breaks[-1])}",
)
def test_every_range_resumes_where_its_connection_was_lost(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str, breaks: list[Fault | None]
) -> None:
    s3.policy = planned(get_object=[None, *breaks])

    assert read(faulty_store, deployment.processed, large) == BODY

    assert s3.operations["get_object"] == 1 + RANGES + 1


@pytest.mark.parametrize("fault", [*PASSING, *CONNECTIONS], ids=named)
def test_a_range_that_fails_once_is_retried(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str, fault: Fault
) -> None:
    s3.policy = planned(get_object=[None, None, fault])

    assert read(faulty_store, deployment.processed, large) == BODY


@pytest.mark.parametrize("nth", range(RANGES))
def test_an_error_in_a_thread_reaches_the_reader_without_the_message_of_s3(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str, nth: int
) -> None:
    received = bytearray()
    s3.policy = planned(get_object=[None, *[None] * nth, REFUSALS["ExpiredToken"]])

    with pytest.raises(ObjectStoreError, match=r"^get_object: ExpiredToken$") as error:
        read(faulty_store, deployment.processed, large, received)

    assert error.value.__suppress_context__
    assert BODY.startswith(received)


def test_a_range_that_delivers_no_more_bytes_is_an_error(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str
) -> None:
    s3.policy = lambda request: Cut(0) if request.range else None

    with pytest.raises(
        ObjectStoreError, match=rf"^get_object: connection lost {MAX_RESUMES + 1} times in a row$"
    ):
        read(faulty_store, deployment.processed, large)


@pytest.mark.parametrize("by", [None, -7, 7])
def test_a_response_with_another_range_is_an_error(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str, by: int | None
) -> None:
    received = bytearray()
    s3.policy = planned(get_object=[None, None, OtherRange(by)])

    with pytest.raises(ObjectStoreError, match="not the range that was asked for"):
        read(faulty_store, deployment.processed, large, received)

    assert BODY.startswith(received)


@pytest.mark.parametrize("successor", [BODY[::-1], None], ids=["replaced", "deleted"])
@pytest.mark.usefixtures("s3")
def test_ranges_are_never_of_two_objects(
    faulty_store: ObjectStore, deployment: Deployment, large: str, successor: bytes | None
) -> None:
    received = bytearray()

    with opened(faulty_store, deployment, large) as stream, pytest.raises(OvertakenError):
        for chunk in stream:
            received += chunk
            if successor:
                deployment.s3.put_object(Bucket=deployment.processed, Key=large, Body=successor)
            else:
                deployment.s3.delete_object(Bucket=deployment.processed, Key=large)

    assert BODY.startswith(received)


@pytest.mark.parametrize("steps", range(1, 8))
def test_no_thread_begins_a_step_if_too_little_time_remains(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str, steps: int
) -> None:
    clock = chain(repeat(MARGIN, steps), repeat(MARGIN - 1))

    with time_limit(lambda: next(clock)), pytest.raises(OutOfTimeError):
        read(faulty_store, deployment.processed, large)

    assert s3.operations["get_object"] <= steps


def test_a_reader_that_stops_waits_only_for_requests_that_have_begun(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, large: str
) -> None:
    first = (None, f"bytes=0-{RANGE - 1}")
    s3.policy = lambda request: None if request.range in first else REFUSALS["SlowDown"]

    with pytest.raises(ZeroDivisionError), opened(faulty_store, deployment, large) as stream:
        next(iter(stream))
        _ = 1 / 0

    requests = s3.operations["get_object"]
    assert requests <= 1 + (PARALLEL_RANGES + 1) * ATTEMPTS
    time.sleep(0.2)
    assert s3.operations["get_object"] == requests


def test_a_part_is_sent_while_the_next_is_written(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment
) -> None:
    key, held = new_key(), Held()
    s3.policy = planned(upload_part=[held])

    with Upload(faulty_store, deployment.processed, key, UNCONDITIONAL, "application/json", {}) as upload:
        upload.write(b"x" * PART)
        upload.write(b"y" * (PART - 1))
        assert held.arrived.wait(5)
        assert [one.status for one in s3.exchanges if one.operation == "upload_part"] == [0]  # no response
        held.released.set()
        upload.complete()

    assert deployment.get(deployment.processed, key) == b"x" * PART + b"y" * (PART - 1)


@pytest.mark.usefixtures("s3")
def test_parts_are_numbered_in_the_order_in_which_they_are_written(
    faulty_store: ObjectStore, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, written, request = new_key(), [b"x" * PART, b"y" * PART, b"z"], faulty_store.request
    numbered: dict[int, bytes] = {}

    def recorded(operation: str, **parameters: Any) -> Any:
        if operation == "upload_part":
            numbered[parameters["PartNumber"]] = bytes(parameters["Body"])
        return request(operation, **parameters)

    monkeypatch.setattr(faulty_store, "request", recorded)
    with Upload(faulty_store, deployment.processed, key, UNCONDITIONAL, "application/json", {}) as upload:
        for part in written:
            upload.write(part)
        upload.complete()

    assert numbered == dict(enumerate(written, start=1))
    assert deployment.get(deployment.processed, key) == b"".join(written)


def test_an_upload_that_fails_is_aborted_after_its_pending_part(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment
) -> None:
    key = new_key()
    s3.policy = planned(upload_part=[Slow(0.3)])

    with (
        pytest.raises(ZeroDivisionError),
        Upload(faulty_store, deployment.processed, key, UNCONDITIONAL, "application/json", {}) as upload,
    ):
        upload.write(b"x" * PART)
        while not s3.operations["upload_part"]:
            time.sleep(0.01)
        _ = 1 / 0

    assert [(one.operation, one.status) for one in s3.exchanges] == [
        ("create_multipart_upload", 200),
        ("upload_part", 200),
        ("abort_multipart_upload", 204),
    ]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_part_that_fails_raises_in_the_writer_and_leaves_no_unfinished_upload(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, parts: int
) -> None:
    s3.policy = planned(upload_part=[Refused(403, "AccessDenied")])

    with pytest.raises(ObjectStoreError, match=r"^upload_part: AccessDenied$"):
        publish(faulty_store, deployment.processed, new_key(), parts * PART)

    assert s3.operations == {
        "create_multipart_upload": 1,
        "upload_part": 1,
        "abort_multipart_upload": 1,
    }
