"""Write objects while connections break and S3 refuses requests: real requests, through a proxy."""

import pytest

from chalicelib import upload
from chalicelib.object_store import IF_ABSENT, ObjectStore, ObjectStoreError, OvertakenError
from chalicelib.upload import PART_SIZE
from tests.deployment import Deployment, new_key
from tests.faults import REFUSALS, Hidden, Lost, Refused, Unsent, planned
from tests.faulty_s3 import Ending, Fault, FaultyS3
from tests.reads_and_writes import ATTEMPTS, CONNECTIONS, PART, PASSING, named, publish


def unfinished(deployment: Deployment) -> set[str]:
    uploads = deployment.s3.list_multipart_uploads(Bucket=deployment.processed).get("Uploads", [])
    return {upload["Key"] for upload in uploads}


@pytest.mark.parametrize("fault", [*PASSING, *CONNECTIONS], ids=named)
def test_a_small_object_is_one_request_and_survives_its_faults(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, fault: Fault
) -> None:
    key = new_key()
    s3.policy = planned(put_object=[fault])

    publish(faulty_store, deployment.processed, key, 1000)

    assert deployment.get(deployment.processed, key) == b"x" * 1000
    assert s3.operations == {"put_object": 2}


def test_a_small_object_survives_a_response_that_never_arrives(
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
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, operation: str, fault: Fault
) -> None:
    key = new_key()
    s3.policy = planned(**{operation: list[Fault | None]([fault])})

    publish(faulty_store, deployment.processed, key, PART + 5)

    assert deployment.get(deployment.processed, key) == b"x" * (PART + 5)
    assert s3.faults.total() == 1


def test_all_parts_except_the_last_have_the_minimum_size_of_s3(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "PART_SIZE", PART_SIZE)

    publish(faulty_store, deployment.processed, new_key(), 2 * PART_SIZE + 3)

    sizes = [exchange.sent for exchange in s3.exchanges if exchange.operation == "upload_part"]
    assert len(sizes) == 3
    assert all(size >= 5 * 1024 * 1024 for size in sizes[:-1])
    assert sum(sizes) == 2 * PART_SIZE + 3


@pytest.mark.parametrize("answers", [1, ATTEMPTS], ids=["once", "always"])
def test_an_error_in_a_response_with_status_200_is_no_success(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, answers: int
) -> None:
    key = new_key()
    s3.policy = planned(complete_multipart_upload=[Hidden()] * answers)

    if answers < ATTEMPTS:
        publish(faulty_store, deployment.processed, key, PART)
    else:
        with pytest.raises(ObjectStoreError, match=r"^complete_multipart_upload: InternalError$"):
            publish(faulty_store, deployment.processed, key, PART)

    assert bool(deployment.keys(deployment.processed, key)) == (answers < ATTEMPTS)
    assert key not in unfinished(deployment)


@pytest.mark.parametrize("operation", ["upload_part", "complete_multipart_upload"])
@pytest.mark.parametrize("fault", [REFUSALS["SlowDown"], REFUSALS["ExpiredToken"], Unsent()], ids=named)
def test_a_large_object_that_fails_permanently_leaves_no_unfinished_upload(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, operation: str, fault: Fault
) -> None:
    key = new_key()
    faults: dict[str, list[Fault | None]] = {operation: [fault] * ATTEMPTS}
    s3.policy = planned(**faults, abort_multipart_upload=[REFUSALS["SlowDown"]])

    with pytest.raises(ObjectStoreError, match=rf"^{operation}: \w+$"):
        publish(faulty_store, deployment.processed, key, PART)

    assert deployment.keys(deployment.processed, key) == []
    assert key not in unfinished(deployment)


def test_an_abort_that_fails_does_not_hide_the_first_error(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment
) -> None:
    s3.policy = planned(upload_part=[REFUSALS["ExpiredToken"]], abort_multipart_upload=[Unsent()] * ATTEMPTS)

    with pytest.raises(ObjectStoreError, match=r"^upload_part: ExpiredToken$"):
        publish(faulty_store, deployment.processed, new_key(), PART)


@pytest.mark.parametrize(
    ("size", "plan"),
    [
        (1, {"put_object": [Lost()]}),
        (PART, {"complete_multipart_upload": [Lost(), Refused(412, "PreconditionFailed")]}),
        (PART, {"complete_multipart_upload": [Lost(), Refused(404, "NoSuchUpload")]}),
    ],
    ids=["one request", "parts, 412", "parts, gone"],
)
def test_a_write_whose_response_is_lost_raises_overtaken(
    s3: FaultyS3,
    faulty_store: ObjectStore,
    deployment: Deployment,
    size: int,
    plan: dict[str, list[Fault | None]],
) -> None:
    key = new_key()
    s3.policy = planned(**plan)

    with pytest.raises(OvertakenError):
        publish(faulty_store, deployment.processed, key, size, IF_ABSENT)

    assert deployment.get(deployment.processed, key) == b"x" * size
    assert key not in unfinished(deployment)
