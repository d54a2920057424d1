"""Publishing what is current, against real S3, with other writers stepping in between two requests."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from chalicelib import pipeline
from chalicelib.events import Arrival
from chalicelib.invocations import Clock, UploadsFailedError, handle
from chalicelib.object_store import ObjectStore, ObjectStoreError
from chalicelib.settings import Settings
from tests.deployment import Deployment, new_key

SETTINGS = Settings("steps-raw", "steps-processed", "steps-rejected")


def scan(name: str) -> bytes:
    return f'[{{"patient_id":"1","patient_name":"{name}"}}]'.encode()


class Steps(ObjectStore):
    """S3, noting every request, and letting others act before some of them."""

    def __init__(self) -> None:
        super().__init__(boto3.client("s3"))
        self.requests: list[str] = []
        self.before: dict[str, Callable[[], None]] = {}

    def request(self, operation: str, **parameters: Any) -> Any:
        self.requests.append(operation)
        # Each acts once.
        self.before.pop(operation, lambda: None)()
        return super().request(operation, **parameters)


class Key:
    """One key, with what stands under it in the three buckets."""

    def __init__(self) -> None:
        self.name = new_key()
        self.s3 = boto3.client("s3")

    def upload(self, name: str) -> None:
        self.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=self.name, Body=scan(name))

    def delete(self) -> None:
        self.s3.delete_object(Bucket=SETTINGS.raw_bucket, Key=self.name)

    def handle(self, store: ObjectStore | None = None, remaining: Clock = lambda: 60_000) -> Steps:
        store = store or Steps()
        handle([Arrival(SETTINGS.raw_bucket, self.name)], store, SETTINGS, remaining)
        assert isinstance(store, Steps)
        return store

    def published(self) -> str:
        body = self.s3.get_object(Bucket=SETTINGS.processed_bucket, Key=self.name)["Body"].read()
        return body.decode().split('"patient_name":"')[1].split('"')[0]

    def versions(self) -> int:
        listing = self.s3.list_object_versions(Bucket=SETTINGS.processed_bucket, Prefix=self.name)
        return len(listing["Versions"])


@pytest.fixture(scope="module", autouse=True)
def buckets(deployment: Deployment) -> None:
    deployment.make_versioned(SETTINGS.raw_bucket, SETTINGS.processed_bucket, SETTINGS.rejected_bucket)


@pytest.fixture
def key() -> Key:
    return Key()


@pytest.mark.parametrize("before", [0, 1], ids=["new", "replaced"])
def test_a_published_object_costs_four_requests_the_last_of_them_afterwards(key: Key, before: int) -> None:
    for _ in range(before):
        key.upload("A")
        key.handle()
    key.upload("B")

    assert key.handle().requests == ["head_object", "get_object", "put_object", "head_object"]
    assert key.published() == "B"


def test_an_older_version_does_not_come_back_when_what_was_published_is_deleted(key: Key) -> None:
    key.upload("A")
    store = Steps()

    def newer_comes_and_goes() -> None:
        key.upload("B")
        key.handle()
        key.s3.delete_object(Bucket=SETTINGS.processed_bucket, Key=key.name)

    store.before["put_object"] = newer_comes_and_goes
    key.handle(store)

    assert key.published() == "B"


def test_an_unchanged_object_costs_two_requests_and_is_not_read(key: Key) -> None:
    key.upload("A")
    key.handle()

    assert key.handle().requests == ["head_object", "get_object"]
    assert key.versions() == 1


def test_a_changed_extraction_does_the_work_again(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    key.upload("A")
    key.handle()

    monkeypatch.setattr(pipeline, "REVISION", "next")

    assert "put_object" in key.handle().requests
    assert key.versions() == 2


@pytest.mark.parametrize("step", ["head_object", "get_object", "put_object"])
def test_a_version_that_arrives_and_is_published_in_between_stays(key: Key, step: str) -> None:
    key.upload("A")
    store = Steps()

    def overtake() -> None:
        key.upload("B")
        key.handle()

    store.before[step] = overtake
    key.handle(store)

    assert key.published() == "B"


@pytest.mark.parametrize("step", ["head_object", "get_object", "put_object"])
def test_a_version_that_arrives_in_between_is_published_by_its_own_event(key: Key, step: str) -> None:
    key.upload("A")
    store = Steps()
    store.before[step] = lambda: key.upload("B")
    key.handle(store)

    key.handle()

    assert key.published() == "B"


@pytest.mark.parametrize("step", ["get_object", "put_object"])
def test_a_slow_writer_of_an_older_version_loses_even_when_content_returns(key: Key, step: str) -> None:
    key.upload("A")
    key.handle()
    key.upload("B")
    store = Steps()

    def content_returns() -> None:
        key.handle()
        key.upload("A")
        key.handle()

    store.before[step] = content_returns
    key.handle(store)

    assert key.published() == "A"


def test_an_object_deleted_in_between_is_no_failure(key: Key) -> None:
    key.upload("A")
    store = Steps()
    store.before["get_object"] = key.delete

    key.handle(store)

    assert store.requests == ["head_object", "get_object"]


def test_an_upload_that_is_always_overtaken_fails_in_the_end(key: Key) -> None:
    key.upload("A")

    class Contended(Steps):
        def request(self, operation: str, **parameters: Any) -> Any:
            if operation == "put_object":
                key.s3.put_object(Bucket=SETTINGS.processed_bucket, Key=key.name, Body=b"other")
                key.s3.delete_object(Bucket=SETTINGS.processed_bucket, Key=key.name)
                key.s3.put_object(
                    Bucket=SETTINGS.processed_bucket, Key=key.name, Body=str(len(self.requests)).encode()
                )
            return super().request(operation, **parameters)

    store = Contended()
    with pytest.raises(UploadsFailedError, match=r"^1 of 1 uploads: [0-9a-f]{16} ContentionError$"):
        key.handle(store)

    assert store.requests.count("put_object") == pipeline.ATTEMPTS


def test_a_crash_before_publishing_loses_nothing(key: Key) -> None:
    key.upload("A")

    def crash() -> None:
        raise ObjectStoreError("put_object: SlowDown")

    store = Steps()
    store.before["put_object"] = crash
    with pytest.raises(UploadsFailedError, match="ObjectStoreError put_object: SlowDown"):
        key.handle(store)
    key.handle()

    assert key.published() == "A"


def test_an_object_that_takes_too_long_is_given_up_cleanly(key: Key) -> None:
    body = b"[" + b",".join([scan("A" * 1_000_000)[1:-1]] * 12) + b"]"
    key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)
    left = iter(range(140_000, 0, -500))  # milliseconds: half a second less at every look

    with pytest.raises(UploadsFailedError, match=r"OutOfTimeError after \d+ bytes$") as error:
        key.handle(remaining=lambda: next(left))

    read = int(str(error.value).split()[-2])
    assert 0 < read < len(body)
    assert not key.s3.list_multipart_uploads(Bucket=SETTINGS.processed_bucket).get("Uploads")
    key.handle()
    assert key.published() == "A" * 1_000_000
