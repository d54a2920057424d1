"""Publishing what is current, against real S3, with other writers stepping in between two requests."""

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from chalicelib import events, pipeline, telemetry
from chalicelib.events import Arrival
from chalicelib.invocations import Clock, UploadsFailedError, handle
from chalicelib.object_store import ObjectStore, ObjectStoreError
from chalicelib.settings import Settings
from tests.deployment import Deployment, new_key, structured

SETTINGS = Settings("steps-raw", "steps-processed", "steps-rejected")


def scan(name: str) -> bytes:
    return f'[{{"patient_id":"1","patient_name":"{name}"}}]'.encode()


class Steps(ObjectStore):
    """S3, noting every request, and letting others act before some of them."""

    def __init__(self) -> None:
        super().__init__(boto3.client("s3"))
        self.requests: list[str] = []
        self.written: list[str] = []  # buckets
        self.before: dict[str, Callable[[], None]] = {}

    def request(self, operation: str, **parameters: Any) -> Any:
        self.requests.append(operation)
        self.written += [parameters["Bucket"]] if operation == "put_object" else []
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

    def handle(
        self, store: ObjectStore | None = None, remaining: Clock = lambda: 60_000, size: int | None = None
    ) -> Steps:
        store = store or Steps()
        arrival = Arrival(SETTINGS.raw_bucket, self.name, uploaded=1, size=size)
        handle([arrival], store, SETTINGS, remaining)
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


@pytest.fixture(autouse=True)
def cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.GUESS, "new", True)


NEW = ["get_object", "put_object"]
LOOKS_FIRST = ["head_object", "get_object", "put_object"]
REPLACED = ["head_object", "get_object", "put_object", "head_object"]
UNCHANGED = ["head_object", "get_object"]


def test_a_new_small_object_costs_two_requests(key: Key) -> None:
    key.upload("A")

    assert key.handle(size=1).requests == NEW
    assert key.published() == "A"


@pytest.mark.parametrize("size", [None, events.SMALL + 1], ids=["unknown size", "large"])
def test_a_new_object_that_is_not_known_to_be_small_is_not_read_before_a_look(
    key: Key, size: int | None
) -> None:
    key.upload("A")

    assert key.handle(size=size).requests == LOOKS_FIRST
    assert key.published() == "A"


def test_what_is_sent_again_on_purpose_is_not_taken_for_new_however_small(key: Key) -> None:
    key.upload("A")
    store = Steps()

    handle([Arrival(SETTINGS.raw_bucket, key.name, size=1)], store, SETTINGS, lambda: 60_000)

    assert store.requests == LOOKS_FIRST


@pytest.mark.parametrize("size", [1, None], ids=["small", "unknown size"])
def test_of_many_that_are_replaced_each_costs_four_requests_but_the_first(key: Key, size: int | None) -> None:
    key.upload("A")
    key.handle(size=size)
    requests = []
    for name in "BCD":
        key.upload(name)
        requests.append(key.handle(size=size).requests)

    assert requests == [[*NEW, *REPLACED] if size else REPLACED, REPLACED, REPLACED]
    assert key.published() == "D"
    assert key.versions() == 4


def test_after_one_that_was_replaced_a_new_small_object_costs_three_requests_once(key: Key) -> None:
    key.upload("A")
    for _ in range(2):
        key.handle(size=1)
    requests = []
    for _ in range(2):
        (new := Key()).upload("A")
        requests.append(new.handle(size=1).requests)

    assert requests == [LOOKS_FIRST, NEW]


def test_a_small_object_that_is_unchanged_is_not_published_again(
    key: Key, said: pytest.CaptureFixture[str]
) -> None:
    key.upload("A")
    requests = [key.handle(size=1).requests for _ in range(3)]

    assert requests == [NEW, [*NEW, *UNCHANGED], UNCHANGED]
    assert key.versions() == 1
    assert "overtaken" not in said.readouterr().out


@pytest.mark.parametrize(
    ("body", "written"),
    [
        # The records, and then the proof that there is no other.
        (b"[1]", [SETTINGS.rejected_bucket] * 2),
        (b"[", [SETTINGS.rejected_bucket]),
        (b"", []),
        (scan("A")[:-1] + b",1]", [SETTINGS.rejected_bucket, SETTINGS.processed_bucket]),
    ],
    ids=["refused", "malformed", "empty", "one record rejected"],
)
def test_what_is_rejected_of_a_small_object_is_kept_before_anything_is_published(
    key: Key, body: bytes, written: list[str]
) -> None:
    key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)
    store = Steps()

    assert key.handle(store, size=len(body)).requests == ["get_object", *["put_object"] * len(written)]
    assert store.written == written


def test_one_that_took_longer_is_looked_at_afterwards(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "FAST_WITHIN", 0)
    key.upload("A")

    assert key.handle(size=1).requests == [*NEW, "head_object"]


@pytest.mark.parametrize("size", [1, None], ids=["small", "unknown size"])
def test_an_older_version_does_not_come_back_when_what_was_published_is_deleted_after_a_while(
    key: Key, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    monkeypatch.setattr(pipeline, "FAST_WITHIN", 0)
    key.upload("A")
    store = Steps()

    def newer_comes_and_goes() -> None:
        key.upload("B")
        key.handle()
        key.s3.delete_object(Bucket=SETTINGS.processed_bucket, Key=key.name)

    store.before["put_object"] = newer_comes_and_goes
    key.handle(store, size=size)

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
    body = b"[" + b",".join([scan("A" * 1_000_000)[1:-1]] * 24) + b"]"
    key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)
    left = iter(range(160_000, 0, -500))  # milliseconds: half a second less at every look

    with pytest.raises(UploadsFailedError, match=r"OutOfTimeError after \d+ bytes$") as error:
        key.handle(remaining=lambda: next(left))

    read = int(str(error.value).split()[-2])
    assert 0 < read < len(body)
    assert not key.s3.list_multipart_uploads(Bucket=SETTINGS.processed_bucket).get("Uploads")
    key.handle()
    assert key.published() == "A" * 1_000_000


@pytest.mark.parametrize(
    ("body", "message", "more"),
    [
        (scan("A"), "object_published", {"extracted": 1, "rejected": 0, "bytes_read": len(scan("A"))}),
        (b"[1]", "object_refused", {"rejected": 1, "bytes_read": 3}),
        (b"[1}", "object_malformed", {"reason": "not JSON", "offset": 2}),
        (b"", "object_empty", {}),
    ],
)
def test_the_log_says_what_became_of_which_version_of_which_object(
    key: Key, said: pytest.CaptureFixture[str], body: bytes, message: str, more: dict[str, Any]
) -> None:
    version = key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)["VersionId"]

    key.handle()

    (event,) = structured(said.readouterr().out.splitlines())
    digest = telemetry.object_name(key.name, log_object_keys=False).digest
    expected = {"message": message, "object": {"digest": digest}, "version": version, **more}
    assert expected.items() <= event.items()


def test_the_log_says_whether_another_was_replaced_and_how_long_it_took(
    key: Key, said: pytest.CaptureFixture[str]
) -> None:
    for name in "AB":
        key.upload(name)
        store = Steps()
        store.before["put_object"] = lambda: time.sleep(0.05)
        key.handle(store)

    first, second = structured(said.readouterr().out.splitlines())
    assert (first["replaced"], second["replaced"]) == (False, True)
    assert 50 <= first["milliseconds"] < 30_000


def test_the_log_tells_an_object_that_was_deleted_from_one_that_was_never_there(
    key: Key, said: pytest.CaptureFixture[str]
) -> None:
    key.handle()
    key.upload("A")
    key.delete()
    key.handle()

    events = structured(said.readouterr().out.splitlines())
    assert [(event["message"], event["deleted"]) for event in events] == [
        ("object_missing", False),
        ("object_missing", True),
    ]


def test_what_is_written_has_the_content_type_of_what_is_in_it(key: Key) -> None:
    body = scan("A")[:-1] + b",1]"
    version = key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)["VersionId"]
    key.handle()

    written = [
        (SETTINGS.processed_bucket, key.name),
        (SETTINGS.rejected_bucket, f"{key.name}/{version}.jsonl"),
    ]
    heads = [key.s3.head_object(Bucket=bucket, Key=name) for bucket, name in written]

    assert [head["ContentType"] for head in heads] == ["application/json", "application/x-ndjson"]
    assert {head["Metadata"]["source-version"] for head in heads} == {version}
