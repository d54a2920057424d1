"""Read objects while connections break and S3 refuses requests: real requests, through a proxy."""

import pytest

from chalicelib.object_store import ObjectStore, ObjectStoreError, OvertakenError, Source
from chalicelib.s3 import READ_SIZE
from chalicelib.source import MAX_RESUMES
from tests.deployment import Deployment, new_key
from tests.faults import REFUSALS, Cut, OtherRange, Refused, WrongLength, planned
from tests.faulty_s3 import Ending, Fault, FaultyS3
from tests.reads_and_writes import ATTEMPTS, BODY, CONNECTIONS, PASSING, named, read


@pytest.mark.parametrize(
    "cut",
    [
        *(Cut(after) for after in (0, 1, 65_536, 65_537, 0.5, -1)),
        *(Cut(after, Ending.CLOSED) for after in (0, 1, 65_536, 65_537, 0.5, -1)),
    ],
    ids=named,
)
def test_a_stream_resumes_where_its_connection_was_lost(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str, cut: Cut
) -> None:
    s3.policy = planned(get_object=[cut])

    assert read(faulty_store, deployment.processed, stored_key) == BODY

    first, second = s3.exchanges
    assert second.range is not None
    resumed = int(second.range.removeprefix("bytes=").removesuffix("-"))
    assert first.delivered - READ_SIZE < resumed <= first.delivered


@pytest.mark.parametrize("after", [0, 0.5, -1])
def test_a_stream_that_stalls_resumes(
    s3: FaultyS3, impatient_store: ObjectStore, deployment: Deployment, stored_key: str, after: float
) -> None:
    s3.policy = planned(get_object=[Cut(after, Ending.STALLED)])

    assert read(impatient_store, deployment.processed, stored_key) == BODY

    assert s3.faults == {"body stalled": 1}


def test_a_stream_survives_any_number_of_lost_connections_that_each_delivered_bytes(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str
) -> None:
    breaks = [Cut(0.3, Ending.CLOSED), Cut(0.3)] * (MAX_RESUMES + 1)
    s3.policy = planned(get_object=[*breaks])

    assert read(faulty_store, deployment.processed, stored_key) == BODY

    assert s3.operations["get_object"] == len(breaks) + 1


def test_a_stream_that_delivers_no_more_bytes_is_an_error(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str
) -> None:
    s3.policy = lambda _: Cut(0)

    with pytest.raises(
        ObjectStoreError, match=rf"^get_object: connection lost {MAX_RESUMES + 1} times in a row$"
    ):
        read(faulty_store, deployment.processed, stored_key)

    assert s3.operations["get_object"] == MAX_RESUMES + 1


@pytest.mark.parametrize("fault", [*PASSING, *CONNECTIONS, Cut(0)], ids=named)
def test_a_stream_resumes_although_the_first_attempt_to_resume_fails(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str, fault: Fault
) -> None:
    s3.policy = planned(get_object=[Cut(0.5), fault])

    assert read(faulty_store, deployment.processed, stored_key) == BODY


@pytest.mark.parametrize("by", [None, -7, 7])
def test_a_stream_never_resumes_with_another_range(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str, by: int | None
) -> None:
    received = bytearray()
    s3.policy = planned(get_object=[Cut(0.5), OtherRange(by)])

    with pytest.raises(ObjectStoreError, match="not the range that was asked for"):
        read(faulty_store, deployment.processed, stored_key, received)

    assert BODY.startswith(received)


@pytest.mark.parametrize(
    "faults",
    [[WrongLength(-7)], [WrongLength(7)], [Cut(0.5), WrongLength(-7)], [Cut(0.5), WrongLength(7)]],
    ids=["too short", "too long", "too short when resumed", "too long when resumed"],
)
def test_a_stream_with_a_wrong_content_length_is_an_error(
    s3: FaultyS3,
    faulty_store: ObjectStore,
    deployment: Deployment,
    stored_key: str,
    faults: list[Fault | None],
) -> None:
    received = bytearray()
    s3.policy = planned(get_object=faults)

    with pytest.raises(ObjectStoreError):
        read(faulty_store, deployment.processed, stored_key, received)

    assert BODY.startswith(received)


@pytest.mark.parametrize("successor", [BODY[::-1], None], ids=["replaced", "deleted"])
def test_a_stream_never_resumes_with_another_object(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str, successor: bytes | None
) -> None:
    s3.policy = planned(get_object=[Cut(0.5)])
    source = faulty_store.open(deployment.processed, stored_key)
    assert isinstance(source, Source)

    with source, pytest.raises(OvertakenError):
        for _ in source:
            if successor:
                deployment.s3.put_object(Bucket=deployment.processed, Key=stored_key, Body=successor)
            else:
                deployment.s3.delete_object(Bucket=deployment.processed, Key=stored_key)


@pytest.mark.parametrize("fault", [*REFUSALS.values(), *CONNECTIONS], ids=named)
def test_a_permanent_error_has_only_operation_and_code(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str, fault: Fault
) -> None:
    s3.policy = lambda _: fault

    with pytest.raises(ObjectStoreError, match=r"^get_object: \w+$") as error:
        faulty_store.open(deployment.processed, stored_key)

    assert error.value.__suppress_context__
    is_retried = not isinstance(fault, Refused) or fault.code != "ExpiredToken"
    assert s3.operations["get_object"] == (ATTEMPTS if is_retried else 1)


@pytest.mark.parametrize("ending", Ending)
def test_an_error_response_that_is_cut_off_is_an_error(
    s3: FaultyS3, impatient_store: ObjectStore, deployment: Deployment, ending: Ending
) -> None:
    s3.policy = lambda _: Cut(5, ending)

    with pytest.raises(ObjectStoreError, match=r"^get_object: \w+$"):
        impatient_store.open(deployment.processed, new_key())
