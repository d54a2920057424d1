"""Publish one key while connections break and S3 refuses requests: it is published once, or it fails."""

import gzip
import itertools
import json
import re

import pytest

from chalicelib import pipeline, upload
from chalicelib.deadline import LAST_MARGIN, MARGIN
from chalicelib.events import Arrival
from chalicelib.invocations import Clock, UploadsFailedError, handle
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings
from tests.deployment import Deployment, new_key, structured
from tests.faults import REFUSALS, Cut, Lost, Refused, Unsent, planned
from tests.faulty_s3 import Ending, Exchange, Fault, FaultyS3, Policy, Request

SETTINGS = Settings("faults-raw", "faults-processed", "faults-rejected")
LARGE = 3000  # records that make more than one part
NO_FAULTS = planned()


def scans(count: int, name: str = "A", image: str = "x" * 50) -> bytes:
    records = [{"patient_id": str(n), "patient_name": name, "image": image} for n in range(count)]
    return json.dumps(records).encode()


def patients(count: int, name: str = "A") -> list[dict[str, str]]:
    return [{"patient_id": str(n), "patient_name": name} for n in range(count)]


class Key:
    """One key, its objects, and the proxy between the pipeline and S3."""

    def __init__(self, deployment: Deployment, proxy: FaultyS3, store: ObjectStore) -> None:
        self.name = f"Canary {new_key()}"
        self.direct = deployment.s3
        self.proxy = proxy
        self.store = store

    def upload(self, body: bytes) -> None:
        self.direct.put_object(Bucket=SETTINGS.raw_bucket, Key=self.name, Body=body)

    def handle(self, policy: Policy = NO_FAULTS, remaining: Clock = lambda: MARGIN) -> list[Exchange]:
        """Handle an event with these faults; returns the requests to S3."""
        self.proxy.policy = policy
        self.proxy.exchanges.clear()
        handle([Arrival(SETTINGS.raw_bucket, self.name)], self.store, SETTINGS, remaining)
        return list(self.proxy.exchanges)

    def published(self) -> list[dict[str, str]]:
        body = self.direct.get_object(Bucket=SETTINGS.processed_bucket, Key=self.name)["Body"].read()
        patients: list[dict[str, str]] = json.loads(body)
        return patients

    def publications(self) -> int:
        listing = self.direct.list_object_versions(Bucket=SETTINGS.processed_bucket, Prefix=self.name)
        return len(listing.get("Versions", []))

    def unfinished(self) -> int:
        uploads = self.direct.list_multipart_uploads(Bucket=SETTINGS.processed_bucket).get("Uploads", [])
        return [upload["Key"] for upload in uploads].count(self.name)


@pytest.fixture(scope="module", autouse=True)
def buckets(deployment: Deployment) -> None:
    deployment.make_versioned(SETTINGS.raw_bucket, SETTINGS.processed_bucket, SETTINGS.rejected_bucket)
    deployment.s3.put_bucket_tagging(
        Bucket=SETTINGS.processed_bucket,
        Tagging={
            "TagSet": [{"Key": "takes-small-parts", "Value": "hundreds of publications of several parts"}]
        },
    )


@pytest.fixture
def key(
    deployment: Deployment, s3: FaultyS3, faulty_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> Key:
    monkeypatch.setattr(upload, "PART_SIZE", 64 * 1024)
    return Key(deployment, s3, faulty_store)


def operations(exchanges: list[Exchange]) -> list[str]:
    return [exchange.operation for exchange in exchanges]


def at(number: int, fault: Fault) -> Policy:
    return lambda request: fault if request.number == number else None


def events(captured: pytest.CaptureFixture[str]) -> list[str]:
    return [event["message"] for event in structured(captured.readouterr().out.splitlines())]


def test_a_new_object_costs_three_requests_and_a_replaced_one_four(key: Key) -> None:
    for records in (1, 2):
        key.upload(scans(records))
        requests = ["head_object", "get_object", "put_object", "head_object"]
        assert operations(key.handle()) == requests[: records + 2]


def test_an_unchanged_object_costs_two_requests_and_is_not_read(key: Key) -> None:
    body = scans(5, image="x" * 4_000_000)
    key.upload(body)
    key.handle()

    head, get = key.handle()

    assert (head.operation, get.operation) == ("head_object", "get_object")
    assert get.delivered < len(body) / 2  # socket buffers are filled before the client closes the connection


@pytest.mark.parametrize("replaced", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize("repeated", [None, Refused(412, "PreconditionFailed"), Refused(404, "NoSuchUpload")])
def test_a_large_object_is_published_once_if_the_response_is_lost(
    key: Key, captured: pytest.CaptureFixture[str], repeated: Fault | None, *, replaced: bool
) -> None:
    before = int(replaced)
    for _ in range(before):
        key.upload(scans(1, "before"))
        key.handle()
    key.upload(scans(LARGE))
    captured.readouterr()

    key.handle(planned(complete_multipart_upload=[Lost(), repeated]))

    assert key.published() == patients(LARGE)
    assert key.publications() == before + 1
    assert not key.unfinished()
    assert events(captured) == (
        ["object_overtaken", "object_unchanged"] if repeated else ["object_published"]
    )


@pytest.mark.parametrize("replaced", [False, True], ids=["new", "replaced"])
def test_a_small_object_is_published_once_if_the_response_is_lost(
    key: Key, captured: pytest.CaptureFixture[str], *, replaced: bool
) -> None:
    before = int(replaced)
    for _ in range(before):
        key.upload(scans(1, "before"))
        key.handle()
    key.upload(scans(2))
    captured.readouterr()

    key.handle(planned(put_object=[Lost()]))

    assert key.published() == patients(2)
    assert key.publications() == before + 1
    assert events(captured) == ["object_overtaken", "object_unchanged"]


@pytest.mark.parametrize("after", [0, 1, 9, 10, 0.5, -8, -1])
@pytest.mark.parametrize("ending", [Ending.RESET, Ending.CLOSED])
def test_gzip_is_read_to_its_end_after_a_lost_connection(key: Key, after: float, ending: Ending) -> None:
    key.upload(gzip.compress(scans(100)))

    key.handle(planned(get_object=[Cut(after, ending)]))

    assert key.published() == patients(100)


def test_an_object_that_is_replaced_while_it_is_read_is_read_again(key: Key) -> None:
    key.upload(scans(LARGE, "old"))

    def cut_and_replace(request: Request) -> Fault | None:
        if request.operation == "get_object" and request.range:
            key.upload(scans(LARGE, "new"))
        return Cut(0.5) if request.number == first else None

    first = key.proxy.operations.total() + 1
    key.handle(cut_and_replace)

    assert key.published() == patients(LARGE, "new")
    assert key.publications() == 1
    assert not key.unfinished()


@pytest.mark.parametrize(
    "fault",
    [
        REFUSALS["SlowDown"],
        REFUSALS["InternalError"],
        *(fault(ending) for fault in (Unsent, Lost) for ending in (Ending.RESET, Ending.CLOSED)),
        Cut(0.5),
    ],
    ids=lambda fault: fault.kind,
)
def test_one_fault_in_any_request_is_retried(key: Key, fault: Fault) -> None:
    key.upload(scans(LARGE))
    requests = len(key.handle())

    for nth in range(requests):
        key.upload(scans(LARGE, str(nth)))
        key.handle(at(key.proxy.operations.total() + nth, fault))

        assert key.published() == patients(LARGE, str(nth))

    assert key.publications() == requests + 1
    # If the response to the creation of an upload is lost, the bucket's lifecycle rule aborts this upload.
    assert key.unfinished() == isinstance(fault, Lost | Cut)


@pytest.mark.parametrize(
    "operation", ["head_object", "get_object", "upload_part", "complete_multipart_upload"]
)
def test_expired_credentials_fail_the_invocation_and_the_retry_works(
    key: Key, captured: pytest.CaptureFixture[str], operation: str
) -> None:
    key.upload(scans(LARGE))
    expired: dict[str, list[Fault | None]] = {operation: [REFUSALS["ExpiredToken"]] * 3}

    with pytest.raises(UploadsFailedError) as error:
        key.handle(planned(**expired))

    assert re.fullmatch(rf"1 of 1 uploads: \w{{16}} ObjectStoreError {operation}: \w+", str(error.value))
    assert "Canary" not in captured.readouterr().out
    assert key.publications() == 0
    assert not key.unfinished()
    key.handle()
    assert key.published() == patients(LARGE)


def test_a_document_that_is_malformed_at_its_last_byte_leaves_no_unfinished_upload(
    key: Key, captured: pytest.CaptureFixture[str]
) -> None:
    key.upload(scans(LARGE)[:-1] + b"}")

    exchanges = operations(key.handle())

    assert "create_multipart_upload" in exchanges
    assert "abort_multipart_upload" in exchanges
    assert key.publications() == 0
    assert not key.unfinished()
    assert events(captured) == ["object_malformed"]


def test_an_invocation_that_runs_out_of_time_at_any_step_fails_and_leaves_no_unfinished_upload(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "RECHECK_AFTER", 0)
    key.upload(scans(LARGE))
    messages = []

    for steps in itertools.count():
        clock = itertools.chain([MARGIN] * steps, itertools.repeat(LAST_MARGIN))
        try:
            key.handle(remaining=clock.__next__)
        except UploadsFailedError as error:
            messages.append(str(error).partition(" OutOfTimeError ")[2])
        else:
            break
        assert not key.unfinished()
        assert key.publications() == (len(messages) > 2 and messages[-1] == "too little time is left")

    assert [messages[0], messages[1], messages[-1]] == ["too little time is left"] * 3
    progress = [int(message.removeprefix("after ").removesuffix(" bytes")) for message in messages[2:-1]]
    assert progress == sorted(progress)
    assert progress.count(len(scans(LARGE))) > 1  # when all was read and only the publication was missing
    assert key.published() == patients(LARGE)
