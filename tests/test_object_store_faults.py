"""The S3 edge when the network breaks and S3 refuses: real requests, through a proxy that does it to them."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from chalicelib import object_store
from chalicelib.object_store import (
    ANYWAY,
    IF_ABSENT,
    LAST_MARGIN,
    MARGIN,
    PART_SIZE,
    RESUMES,
    Condition,
    ObjectStore,
    ObjectStoreError,
    OutOfTimeError,
    OvertakenError,
    Upload,
    within,
)
from infra.ops.cloud import ROOT
from tests.deployment import Deployment, new_key
from tests.faults import REFUSALS, Cut, Hidden, Lied, Lost, OtherRange, Refused, Unsent, planned
from tests.faulty_s3 import Ending, Fault, FaultyS3, faulty_s3

ATTEMPTS = 3
BODY = bytes(range(251)) * 1200
PART = 64 * 1024  # large enough for a stand-in that takes parts of any size
PASSING: list[Fault] = [fault for code, fault in REFUSALS.items() if code != "ExpiredToken"]
CONNECTIONS: list[Fault] = [Unsent(), Unsent(Ending.CLOSED), Lost(), Lost(Ending.CLOSED)]


def named(fault: Fault) -> str:
    return f"{fault.kind} {vars(fault).get('after', '')}".strip()


@pytest.fixture(scope="module")
def proxy(deployment: Deployment) -> Iterator[FaultyS3]:
    with faulty_s3(planned(), deployment.s3.meta.endpoint_url) as proxy:
        yield proxy


def connect(proxy: FaultyS3, read_timeout: float, attempts: int) -> ObjectStore:
    config = Config(read_timeout=read_timeout, retries={"mode": "standard", "total_max_attempts": attempts})
    return ObjectStore(boto3.client("s3", endpoint_url=proxy.url, config=config))


@pytest.fixture(scope="module")
def store(proxy: FaultyS3) -> ObjectStore:
    return connect(proxy, read_timeout=30, attempts=ATTEMPTS)


@pytest.fixture(scope="module")
def impatient_store(proxy: FaultyS3) -> ObjectStore:
    """One that soon gives up on a stalled connection, and, in return, tries again more often."""
    return connect(proxy, read_timeout=0.5, attempts=2 * ATTEMPTS)


@pytest.fixture
def s3(proxy: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    """An S3 without faults until a test plans them; parts are small, and retries come without a pause."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr(object_store, "PART_SIZE", PART)
    proxy.policy = planned()
    for noted in (proxy.exchanges, proxy.faults, proxy.operations):
        noted.clear()
    return proxy


@pytest.fixture
def key(deployment: Deployment) -> str:
    """Make up a key with an object under it, in a bucket that no function watches."""
    key = new_key()
    deployment.s3.put_object(Bucket=deployment.processed, Key=key, Body=BODY)
    return key


def read(store: ObjectStore, bucket: str, key: str, into: bytearray | None = None) -> bytes:
    received = bytearray() if into is None else into
    source = store.open(bucket, key)
    assert source is not None
    with source:
        for chunk in source:
            received += chunk
    return bytes(received)


def publish(store: ObjectStore, bucket: str, key: str, size: int, condition: Condition = ANYWAY) -> None:
    with Upload(store, bucket, key, condition, "application/json", {}) as upload:
        for start in range(0, size, PART):
            upload.write(b"x" * min(PART, size - start))
        upload.complete()


def unfinished(deployment: Deployment) -> set[str]:
    uploads = deployment.s3.list_multipart_uploads(Bucket=deployment.processed).get("Uploads", [])
    return {upload["Key"] for upload in uploads}


# Reading


@pytest.mark.parametrize(
    "cut",
    [
        *(Cut(after) for after in (0, 1, 65_536, 65_537, 0.5, -1)),
        *(Cut(after, Ending.CLOSED) for after in (0, 1, 65_536, 65_537, 0.5, -1)),
    ],
    ids=named,
)
def test_a_stream_goes_on_where_its_connection_ended(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str, cut: Cut
) -> None:
    s3.policy = planned(get_object=[cut])

    assert read(store, deployment.processed, key) == BODY

    first, second = s3.exchanges
    assert second.range is not None
    resumed = int(second.range.removeprefix("bytes=").removesuffix("-"))
    assert first.delivered - object_store.READ_SIZE < resumed <= first.delivered


@pytest.mark.parametrize("after", [0, 0.5, -1])
def test_a_stream_that_stalls_goes_on_from_there(
    s3: FaultyS3, impatient_store: ObjectStore, deployment: Deployment, key: str, after: float
) -> None:
    s3.policy = planned(get_object=[Cut(after, Ending.STALLED)])

    assert read(impatient_store, deployment.processed, key) == BODY

    assert s3.faults == {"body stalled": 1}


def test_a_stream_survives_any_number_of_breaks_as_long_as_bytes_come(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str
) -> None:
    breaks = [Cut(0.3, Ending.CLOSED), Cut(0.3)] * (RESUMES + 1)
    s3.policy = planned(get_object=[*breaks])

    assert read(store, deployment.processed, key) == BODY

    assert s3.operations["get_object"] == len(breaks) + 1


def test_a_stream_that_gives_nothing_any_more_is_an_error(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str
) -> None:
    s3.policy = lambda _: Cut(0)

    with pytest.raises(
        ObjectStoreError, match=rf"^get_object: connection lost {RESUMES + 1} times in a row$"
    ):
        read(store, deployment.processed, key)

    assert s3.operations["get_object"] == RESUMES + 1


@pytest.mark.parametrize("fault", [*PASSING, *CONNECTIONS, Cut(0)], ids=named)
def test_a_stream_is_mended_though_mending_fails_at_first(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str, fault: Fault
) -> None:
    s3.policy = planned(get_object=[Cut(0.5), fault])

    assert read(store, deployment.processed, key) == BODY


@pytest.mark.parametrize("by", [None, -7, 7])
def test_a_stream_is_never_mended_with_another_range(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str, by: int | None
) -> None:
    received = bytearray()
    s3.policy = planned(get_object=[Cut(0.5), OtherRange(by)])

    with pytest.raises(ObjectStoreError, match="not the range that was asked for"):
        read(store, deployment.processed, key, received)

    assert BODY.startswith(received)


@pytest.mark.parametrize(
    "faults",
    [[Lied(-7)], [Lied(7)], [Cut(0.5), Lied(-7)], [Cut(0.5), Lied(7)]],
    ids=["too short", "too long", "too short when resumed", "too long when resumed"],
)
def test_a_stream_is_not_taken_for_whole_when_its_length_is_a_lie(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str, faults: list[Fault | None]
) -> None:
    received = bytearray()
    s3.policy = planned(get_object=faults)

    with pytest.raises(ObjectStoreError):
        read(store, deployment.processed, key, received)

    assert BODY.startswith(received)


@pytest.mark.parametrize("successor", [BODY[::-1], None], ids=["replaced", "deleted"])
def test_a_stream_is_not_mended_with_another_object(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str, successor: bytes | None
) -> None:
    s3.policy = planned(get_object=[Cut(0.5)])
    source = store.open(deployment.processed, key)
    assert source is not None

    with source, pytest.raises(OvertakenError):
        for _ in source:
            if successor:
                deployment.s3.put_object(Bucket=deployment.processed, Key=key, Body=successor)
            else:
                deployment.s3.delete_object(Bucket=deployment.processed, Key=key)


# Being refused


@pytest.mark.parametrize("fault", [*REFUSALS.values(), *CONNECTIONS], ids=named)
def test_what_fails_for_good_says_operation_and_code_alone(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str, fault: Fault
) -> None:
    s3.policy = lambda _: fault

    with pytest.raises(ObjectStoreError, match=r"^get_object: \w+$") as error:
        store.open(deployment.processed, key)

    assert error.value.__suppress_context__
    tried_again = not isinstance(fault, Refused) or fault.code != "ExpiredToken"
    assert s3.operations["get_object"] == (ATTEMPTS if tried_again else 1)


@pytest.mark.parametrize("ending", Ending)
def test_a_refusal_that_breaks_off_is_an_error_as_any_other(
    s3: FaultyS3, impatient_store: ObjectStore, deployment: Deployment, ending: Ending
) -> None:
    s3.policy = lambda _: Cut(5, ending)

    with pytest.raises(ObjectStoreError, match=r"^get_object: \w+$"):
        impatient_store.open(deployment.processed, new_key())


# Writing


@pytest.mark.parametrize("fault", [*PASSING, *CONNECTIONS], ids=named)
def test_a_small_object_is_one_request_and_survives_its_faults(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, fault: Fault
) -> None:
    key = new_key()
    s3.policy = planned(put_object=[fault])

    publish(store, deployment.processed, key, 1000)

    assert deployment.get(deployment.processed, key) == b"x" * 1000
    assert s3.operations == {"put_object": 2}


def test_a_small_object_survives_an_answer_that_never_comes(
    s3: FaultyS3, impatient_store: ObjectStore, deployment: Deployment
) -> None:
    key = new_key()
    s3.policy = planned(put_object=[Lost(Ending.STALLED)])

    publish(impatient_store, deployment.processed, key, 1000)

    assert deployment.get(deployment.processed, key) == b"x" * 1000


@pytest.mark.parametrize("operation", ["create_multipart_upload", "upload_part", "complete_multipart_upload"])
@pytest.mark.parametrize(
    "fault", [REFUSALS["SlowDown"], REFUSALS["InternalError"], Unsent(), Lost()], ids=named
)
def test_a_large_object_survives_the_faults_of_its_parts(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, operation: str, fault: Fault
) -> None:
    key = new_key()
    s3.policy = planned(**{operation: list[Fault | None]([fault])})

    publish(store, deployment.processed, key, PART + 5)

    assert deployment.get(deployment.processed, key) == b"x" * (PART + 5)
    assert s3.faults.total() == 1


def test_all_parts_but_the_last_are_as_large_as_s3_demands(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PART_SIZE", PART_SIZE)

    publish(store, deployment.processed, new_key(), 2 * PART_SIZE + 3)

    sizes = [exchange.sent for exchange in s3.exchanges if exchange.operation == "upload_part"]
    assert len(sizes) == 3
    assert all(size >= 5 * 1024 * 1024 for size in sizes[:-1])
    assert sum(sizes) == 2 * PART_SIZE + 3


@pytest.mark.parametrize("answers", [1, ATTEMPTS], ids=["once", "always"])
def test_an_error_in_a_200_is_no_success(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, answers: int
) -> None:
    key = new_key()
    s3.policy = planned(complete_multipart_upload=[Hidden()] * answers)

    if answers < ATTEMPTS:
        publish(store, deployment.processed, key, PART)
    else:
        with pytest.raises(ObjectStoreError, match=r"^complete_multipart_upload: InternalError$"):
            publish(store, deployment.processed, key, PART)

    assert bool(deployment.keys(deployment.processed, key)) == (answers < ATTEMPTS)
    assert key not in unfinished(deployment)


@pytest.mark.parametrize("operation", ["upload_part", "complete_multipart_upload"])
@pytest.mark.parametrize("fault", [REFUSALS["SlowDown"], REFUSALS["ExpiredToken"], Unsent()], ids=named)
def test_a_large_object_that_fails_for_good_leaves_nothing(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, operation: str, fault: Fault
) -> None:
    key = new_key()
    faults: dict[str, list[Fault | None]] = {operation: [fault] * ATTEMPTS}
    s3.policy = planned(**faults, abort_multipart_upload=[REFUSALS["SlowDown"]])

    with pytest.raises(ObjectStoreError, match=rf"^{operation}: \w+$"):
        publish(store, deployment.processed, key, PART)

    assert deployment.keys(deployment.processed, key) == []
    assert key not in unfinished(deployment)


def test_what_cannot_be_aborted_hides_no_error(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment
) -> None:
    s3.policy = planned(upload_part=[REFUSALS["ExpiredToken"]], abort_multipart_upload=[Unsent()] * ATTEMPTS)

    with pytest.raises(ObjectStoreError, match=r"^upload_part: ExpiredToken$"):
        publish(store, deployment.processed, new_key(), PART)


@pytest.mark.parametrize(
    ("size", "plan"),
    [
        (1, {"put_object": [Lost()]}),
        (PART, {"complete_multipart_upload": [Lost(), Refused(412, "PreconditionFailed")]}),
        (PART, {"complete_multipart_upload": [Lost(), Refused(404, "NoSuchUpload")]}),
    ],
    ids=["one request", "parts, 412", "parts, gone"],
)
def test_a_publication_whose_answer_is_lost_asks_to_look_again(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, size: int, plan: dict[str, list[Fault | None]]
) -> None:
    key = new_key()
    s3.policy = planned(**plan)

    with pytest.raises(OvertakenError):
        publish(store, deployment.processed, key, size, IF_ABSENT)

    assert deployment.get(deployment.processed, key) == b"x" * size
    assert key not in unfinished(deployment)


# Time

# S3's name has up to eight addresses, which are tried in turn; what is sent on a new connection is bound by
# the time to connect, as is the TLS handshake; botocore waits a second to be told to go on.
CONFIG: Any = object_store.CONFIG
CONNECT, READ = CONFIG.connect_timeout, CONFIG.read_timeout
ATTEMPT = max(8 * CONNECT, 3 * CONNECT + 1 + READ, 2 * READ + 1)
RETRIES = CONFIG.retries["total_max_attempts"] - 1
PAUSES = [min(2**retry, 20) for retry in range(RETRIES)]
SAID_BY_S3 = 5  # seconds that botocore pauses longer because S3 asks for it
THROTTLED = 2  # seconds that the adaptive mode holds a request back


def test_what_is_left_when_a_step_begins_suffices_for_it_and_for_a_clean_end() -> None:
    assert ATTEMPT * 1000 < LAST_MARGIN
    assert (ATTEMPT + max(PAUSES) + SAID_BY_S3 + THROTTLED) * 1000 + LAST_MARGIN <= MARGIN


def test_a_stream_that_is_mended_as_often_as_allowed_fits_in_the_functions_time() -> None:
    request = (RETRIES + 1) * (ATTEMPT + THROTTLED) + sum(PAUSES)
    stages = json.loads((ROOT / ".chalice" / "config.json").read_text())["stages"]

    for stage in stages.values():
        timeout = stage["lambda_functions"]["data-processor"]["lambda_timeout"]
        assert (RESUMES + 1) * (request + READ) <= timeout - MARGIN / 1000


def test_no_request_begins_when_too_little_time_is_left(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str
) -> None:
    with within(lambda: MARGIN - 1), pytest.raises(OutOfTimeError):
        store.head(deployment.processed, key)

    assert not s3.exchanges


def test_no_retry_begins_when_too_little_time_is_left(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str
) -> None:
    s3.policy = lambda _: REFUSALS["SlowDown"]
    left = iter([MARGIN, MARGIN - 1])

    with within(lambda: next(left)), pytest.raises(OutOfTimeError):
        store.open(deployment.processed, key)

    assert s3.operations["get_object"] == 1


def test_no_stream_is_mended_when_too_little_time_is_left(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, key: str
) -> None:
    s3.policy = lambda _: Cut(0, Ending.CLOSED)
    left = iter([MARGIN, MARGIN - 1])

    with within(lambda: next(left)), pytest.raises(OutOfTimeError):
        read(store, deployment.processed, key)

    assert s3.operations["get_object"] == 1


@pytest.mark.parametrize(("left", "aborts"), [(LAST_MARGIN, 1), (LAST_MARGIN - 1, 0)])
def test_an_upload_that_runs_out_of_time_is_aborted_while_that_can_be_done_in_time(
    s3: FaultyS3, store: ObjectStore, deployment: Deployment, left: int, aborts: int
) -> None:
    clock = itertools.chain([MARGIN] * 2, itertools.repeat(left))  # enough to begin it and to send a part

    with within(lambda: next(clock)), pytest.raises(OutOfTimeError):
        publish(store, deployment.processed, key := new_key(), PART)

    assert s3.operations["upload_part"] == 1
    assert s3.operations["abort_multipart_upload"] == aborts
    assert deployment.keys(deployment.processed, key) == []
