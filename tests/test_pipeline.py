"""Publish one key against the local cloud's S3, while other writers act between two of its requests."""

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from chalicelib import events, pipeline, safe_names
from chalicelib.events import Arrival
from chalicelib.extraction import REVISION
from chalicelib.invocations import Clock, UploadsFailedError, handle
from chalicelib.object_store import ObjectStore, ObjectStoreError
from chalicelib.settings import Settings
from tests.deployment import Deployment, new_key, structured

SETTINGS = Settings("pipeline-raw", "pipeline-processed", "pipeline-rejected")


def scan(name: str) -> bytes:
    return f'[{{"patient_id":"1","patient_name":"{name}"}}]'.encode()


class RecordingStore(ObjectStore):
    """Records every request, and lets other writers act before some of them."""

    def __init__(self) -> None:
        super().__init__(boto3.client("s3"))
        self.requests: list[str] = []
        self.written: list[str] = []  # buckets
        self.before: dict[str, Callable[[], None]] = {}

    def request(self, operation: str, **parameters: Any) -> Any:
        self.requests.append(operation)
        self.written += [parameters["Bucket"]] if operation == "put_object" else []
        # Each callback runs once.
        self.before.pop(operation, lambda: None)()
        return super().request(operation, **parameters)


class Key:
    """One key, and its objects in the three buckets."""

    def __init__(self) -> None:
        self.name = new_key()
        self.s3 = boto3.client("s3")

    def upload(self, name: str) -> None:
        self.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=self.name, Body=scan(name))

    def delete(self) -> None:
        self.s3.delete_object(Bucket=SETTINGS.raw_bucket, Key=self.name)

    def handle(
        self, store: ObjectStore | None = None, remaining: Clock = lambda: 60_000, size: int | None = None
    ) -> RecordingStore:
        store = store or RecordingStore()
        arrival = Arrival(SETTINGS.raw_bucket, self.name, uploaded=1, size=size)
        handle([arrival], store, SETTINGS, remaining)
        assert isinstance(store, RecordingStore)
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


def logged(captured: pytest.CaptureFixture[str], message: str) -> list[dict[str, Any]]:
    """Read the events with this message that were logged since the last call."""
    lines = captured.readouterr().out.splitlines()
    return [event for event in structured(lines) if event["message"] == message]


@pytest.fixture(autouse=True)
def cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.PREDICTION, "new", True)


NEW = ["get_object", "put_object"]
LOOKS_FIRST = ["head_object", "get_object", "put_object"]
REPLACED = ["head_object", "get_object", "put_object", "head_object"]
UNCHANGED = ["head_object", "get_object"]


def test_a_new_small_object_costs_two_requests(key: Key) -> None:
    key.upload("A")

    assert key.handle(size=1).requests == NEW
    assert key.published() == "A"


@pytest.mark.parametrize("size", [None, events.SMALL + 1], ids=["unknown size", "large"])
def test_a_new_object_that_is_not_known_to_be_small_is_looked_up_first(key: Key, size: int | None) -> None:
    key.upload("A")

    assert key.handle(size=size).requests == LOOKS_FIRST
    assert key.published() == "A"


def test_an_object_whose_upload_time_is_unknown_is_looked_up_first(key: Key) -> None:
    key.upload("A")
    store = RecordingStore()

    handle([Arrival(SETTINGS.raw_bucket, key.name, size=1)], store, SETTINGS, lambda: 60_000)

    assert store.requests == LOOKS_FIRST


def test_an_object_of_a_replay_is_looked_up_first_and_does_not_change_the_prediction(key: Key) -> None:
    key.upload("A")
    replayed = Arrival(SETTINGS.raw_bucket, key.name, uploaded=1, size=1, replayed=True)
    requests = []
    for _ in range(2):
        handle([replayed], store := RecordingStore(), SETTINGS, lambda: 60_000)
        requests.append(store.requests)

    assert requests == [LOOKS_FIRST, UNCHANGED]
    (new := Key()).upload("A")
    assert new.handle(size=1).requests == NEW


@pytest.mark.parametrize("size", [1, None], ids=["small", "unknown size"])
def test_the_log_tells_whether_an_object_was_new_or_replaced(
    key: Key, captured: pytest.CaptureFixture[str], size: int | None
) -> None:
    for name in "AB":
        key.upload(name)
        key.handle(size=size)
    key.s3.delete_object(Bucket=SETTINGS.processed_bucket, Key=key.name)
    key.handle(size=size)

    published = logged(captured, "object_published")
    assert [event["replaced"] for event in published] == [False, True, False]


@pytest.mark.parametrize(
    ("body", "message", "fields"),
    [
        (
            b'[{"patient_id":"1","patient_name":"A"},{"patient_id":"2","patient_name":"B"},1]',
            "object_published",
            {"extracted": 2, "rejected": 1, "bytes_read": 79},
        ),
        (b"[1,2]", "object_refused", {"rejected": 2, "bytes_read": 5}),
        (b"[1,", "object_malformed", {"reason": "truncated", "offset": 3}),
    ],
    ids=["published", "refused", "malformed"],
)
def test_the_log_has_the_counts_and_the_duration_of_an_extraction(
    key: Key, captured: pytest.CaptureFixture[str], body: bytes, message: str, fields: dict[str, Any]
) -> None:
    version = key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)["VersionId"]
    store = RecordingStore()
    store.before["put_object"] = lambda: time.sleep(0.1)
    began = time.monotonic()

    key.handle(store)

    elapsed = (time.monotonic() - began) * 1000
    (event,) = logged(captured, message)
    assert {"version": version, **fields}.items() <= event.items()
    assert 100 <= event["milliseconds"] <= elapsed + 1


@pytest.mark.parametrize("size", [1, None], ids=["small", "unknown size"])
def test_each_replaced_object_costs_four_requests_except_the_first(key: Key, size: int | None) -> None:
    key.upload("A")
    key.handle(size=size)
    requests = []
    for name in "BCD":
        key.upload(name)
        requests.append(key.handle(size=size).requests)

    assert requests == [[*NEW, *REPLACED] if size else REPLACED, REPLACED, REPLACED]
    assert key.published() == "D"
    assert key.versions() == 4


def test_after_a_replaced_object_the_first_new_small_object_costs_three_requests(key: Key) -> None:
    key.upload("A")
    for _ in range(2):
        key.handle(size=1)
    requests = []
    for _ in range(2):
        (new := Key()).upload("A")
        requests.append(new.handle(size=1).requests)

    assert requests == [LOOKS_FIRST, NEW]


def named(key: Key) -> dict[str, str]:
    """Return how the log names a key."""
    return {"digest": safe_names.object_name(key.name, log_object_keys=False).digest}


def test_the_log_names_an_unchanged_object_and_its_version(
    key: Key, captured: pytest.CaptureFixture[str]
) -> None:
    key.upload("A")
    version = key.s3.head_object(Bucket=SETTINGS.raw_bucket, Key=key.name)["VersionId"]
    for _ in range(2):
        key.handle()

    (event,) = logged(captured, "object_unchanged")
    assert (event["object"], event["version"]) == (named(key), version)


def test_an_unchanged_small_object_is_not_published_again(
    key: Key, captured: pytest.CaptureFixture[str]
) -> None:
    key.upload("A")
    requests = [key.handle(size=1).requests for _ in range(3)]

    assert requests == [NEW, [*NEW, *UNCHANGED], UNCHANGED]
    assert key.versions() == 1
    assert "overtaken" not in captured.readouterr().out


@pytest.mark.parametrize(
    ("body", "written"),
    [
        # The records, and then the proof that all of them are rejected.
        (b"[1]", [SETTINGS.rejected_bucket] * 2),
        (b"[", [SETTINGS.rejected_bucket]),
        (b"", []),
        (scan("A")[:-1] + b",1]", [SETTINGS.rejected_bucket, SETTINGS.processed_bucket]),
    ],
    ids=["refused", "malformed", "empty", "one record rejected"],
)
def test_rejected_records_are_stored_before_the_valid_ones_are_published(
    key: Key, body: bytes, written: list[str]
) -> None:
    key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)
    store = RecordingStore()

    assert key.handle(store, size=len(body)).requests == ["get_object", *["put_object"] * len(written)]
    assert store.written == written


def test_a_refusal_leaves_the_count_of_its_records_beside_them_and_a_malformed_document_one_line(
    key: Key,
) -> None:
    def rejected_of(body: bytes) -> dict[str, bytes]:
        version = key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)["VersionId"]
        key.handle()
        prefix = f"{key.name}/{version}"
        listing = key.s3.list_objects_v2(Bucket=SETTINGS.rejected_bucket, Prefix=prefix)
        objects = {each["Key"].removeprefix(prefix): each["Key"] for each in listing["Contents"]}
        found = {}
        for suffix, name in objects.items():
            answer = key.s3.get_object(Bucket=SETTINGS.rejected_bucket, Key=name)
            assert answer["Metadata"] == {"source-version": version, "extraction-revision": REVISION}
            assert answer["ContentType"] == "application/x-ndjson"
            found[suffix] = answer["Body"].read()
        return found

    lines = b"".join(
        b'{"index":%d,"reason":"record: not an object","record":%d}\n' % (index, index + 7)
        for index in (0, 1)
    )
    assert rejected_of(b"[7,8]") == {".jsonl": lines, ".refused.json": b'{"rejected":2}\n'}
    assert rejected_of(b"[7,") == {".jsonl": b'{"reason":"truncated","offset":3}\n'}


def test_an_object_that_took_longer_is_checked_again_afterwards(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "RECHECK_AFTER", 0)
    key.upload("A")

    assert key.handle(size=1).requests == [*NEW, "head_object"]


@pytest.mark.parametrize("size", [1, None], ids=["small", "unknown size"])
def test_an_older_version_is_not_published_after_somebody_deleted_the_processed_object(
    key: Key, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    monkeypatch.setattr(pipeline, "RECHECK_AFTER", 0)
    key.upload("A")
    store = RecordingStore()

    def publish_and_delete_newer() -> None:
        key.upload("B")
        key.handle()
        key.s3.delete_object(Bucket=SETTINGS.processed_bucket, Key=key.name)

    store.before["put_object"] = publish_and_delete_newer
    key.handle(store, size=size)

    assert key.published() == "B"


def test_an_unchanged_object_costs_two_requests_and_is_not_read(key: Key) -> None:
    key.upload("A")
    key.handle()

    assert key.handle().requests == ["head_object", "get_object"]
    assert key.versions() == 1


def test_a_new_revision_of_the_extraction_publishes_again(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    key.upload("A")
    key.handle()

    monkeypatch.setattr(pipeline, "REVISION", "next")

    assert "put_object" in key.handle().requests
    assert key.versions() == 2


@pytest.mark.parametrize("step", ["head_object", "get_object", "put_object"])
def test_a_newer_version_that_is_published_in_between_stays(key: Key, step: str) -> None:
    key.upload("A")
    store = RecordingStore()

    def overtake() -> None:
        key.upload("B")
        key.handle()

    store.before[step] = overtake
    key.handle(store)

    assert key.published() == "B"


@pytest.mark.parametrize("step", ["head_object", "get_object", "put_object"])
def test_a_newer_version_that_is_uploaded_in_between_is_published_by_its_own_event(
    key: Key, step: str
) -> None:
    key.upload("A")
    store = RecordingStore()
    store.before[step] = lambda: key.upload("B")
    key.handle(store)

    key.handle()

    assert key.published() == "B"


@pytest.mark.parametrize("step", ["get_object", "put_object"])
def test_a_slow_writer_of_an_older_version_loses_even_if_earlier_content_returns(key: Key, step: str) -> None:
    key.upload("A")
    key.handle()
    key.upload("B")
    store = RecordingStore()

    def return_to_earlier_content() -> None:
        key.handle()
        key.upload("A")
        key.handle()

    store.before[step] = return_to_earlier_content
    key.handle(store)

    assert key.published() == "A"


def test_an_object_that_is_deleted_in_between_does_not_fail_the_invocation(
    key: Key, captured: pytest.CaptureFixture[str]
) -> None:
    key.upload("A")
    store = RecordingStore()
    store.before["get_object"] = key.delete

    key.handle(store)
    Key().handle()  # never uploaded

    assert store.requests == ["head_object", "get_object"]
    missing = logged(captured, "object_missing")
    assert [event["deleted"] for event in missing] == [True, False]
    assert missing[0]["object"] == named(key)


def test_an_upload_that_loses_every_attempt_fails(key: Key, captured: pytest.CaptureFixture[str]) -> None:
    key.upload("A")

    class Contended(RecordingStore):
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

    assert store.requests.count("put_object") == pipeline.MAX_ATTEMPTS
    overtaken = logged(captured, "object_overtaken")
    assert [event["attempt"] for event in overtaken] == [*range(1, pipeline.MAX_ATTEMPTS + 1)]
    assert overtaken[0]["object"] == named(key)


def test_an_upload_that_fails_before_publishing_is_published_by_the_retry(key: Key) -> None:
    key.upload("A")

    def crash() -> None:
        raise ObjectStoreError("put_object: SlowDown")

    store = RecordingStore()
    store.before["put_object"] = crash
    with pytest.raises(UploadsFailedError, match="ObjectStoreError put_object: SlowDown"):
        key.handle(store)
    key.handle()

    assert key.published() == "A"


def test_an_object_that_takes_too_long_fails_and_leaves_no_unfinished_upload(key: Key) -> None:
    body = b"[" + b",".join([scan("A" * 1_000_000)[1:-1]] * 24) + b"]"
    key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)
    left = iter(range(160_000, 0, -500))  # milliseconds: half a second less at each check

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
def test_the_log_names_the_outcome_the_object_and_its_version(
    key: Key, captured: pytest.CaptureFixture[str], body: bytes, message: str, more: dict[str, Any]
) -> None:
    version = key.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key.name, Body=body)["VersionId"]

    key.handle()

    (event,) = structured(captured.readouterr().out.splitlines())
    digest = safe_names.object_name(key.name, log_object_keys=False).digest
    expected = {"message": message, "object": {"digest": digest}, "version": version, **more}
    assert expected.items() <= event.items()


def test_published_and_rejected_objects_have_content_types_and_their_origin(key: Key) -> None:
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
