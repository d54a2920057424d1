"""Batches of a replay and of S3 Batch Operations, and the responses to them."""

import json
import time
from typing import Any
from urllib.parse import quote, quote_plus

import boto3
import pytest

from app import data_processor
from chalicelib import invocations, pipeline, replays
from chalicelib.events import Arrival
from chalicelib.extraction import REVISION
from chalicelib.invocations import UploadsFailedError
from chalicelib.object_store import ObjectStore
from chalicelib.safe_names import object_name
from chalicelib.settings import Settings
from tests.canaries import CANARY
from tests.deployment import Deployment, new_key, structured, without_permission
from tests.events import CONTEXT

SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'
SETTINGS = Settings("replays-raw", "replays-processed", "replays-rejected")
COUNTS = {"extracted": 1, "rejected": 0, "bytes_read": len(SCAN)}
LONG_AGO = 1_700_000_000


@pytest.fixture(scope="module", autouse=True)
def buckets(deployment: Deployment) -> None:
    deployment.make_versioned(SETTINGS.raw_bucket, SETTINGS.processed_bucket, SETTINGS.rejected_bucket)


def put(body: bytes = SCAN, name: str = "") -> str:
    """Upload without an event; returns the key."""
    key = new_key().replace(".json", f"{name}.json")
    boto3.client("s3").put_object(Bucket=SETTINGS.raw_bucket, Key=key, Body=body)
    return key


def answer(event: Any) -> Any:
    return invocations.answer(event, ObjectStore(boto3.client("s3")), SETTINGS, lambda: 60_000)


def outcomes(event: Any) -> list[str]:
    return [outcome["outcome"] for outcome in answer(event)["outcomes"]]


def digest(key: str) -> str:
    return object_name(key, log_object_keys=False).digest


def versions(key: str) -> int:
    listing = boto3.client("s3").list_object_versions(Bucket=SETTINGS.processed_bucket, Prefix=key)
    return len(listing.get("Versions", []))


def test_the_response_has_the_outcome_of_each_key_in_order_but_no_key() -> None:
    keys = [put(), put(b"[oops"), put(b"[{}]"), put(b""), new_key(), f"{new_key()}.JSON", put()]

    response = answer({"Items": [{"Key": key, "Size": 1, "LastModified": LONG_AGO} for key in keys]})

    assert response["revision"] == REVISION
    assert [outcome["object"] for outcome in response["outcomes"]] == [digest(key) for key in keys]
    assert [outcome["outcome"] for outcome in response["outcomes"]] == [
        *("published", "malformed", "refused", "empty", "missing", "ignored", "published")
    ]
    assert response["outcomes"][0] == {"object": digest(keys[0]), "outcome": "published", **COUNTS}
    assert response["outcomes"][1]["reason"] == "not JSON"
    assert not any(key in json.dumps(response) for key in keys)


def test_a_single_item_alone_is_a_batch_of_one() -> None:
    key = put()

    assert answer({"Key": key}) == {
        "revision": REVISION,
        "outcomes": [{"object": digest(key), "outcome": "published", **COUNTS}],
    }


def test_a_batch_without_items_returns_the_revision() -> None:
    assert answer({"Items": []}) == {"revision": REVISION, "outcomes": []}


def test_a_second_replay_publishes_nothing_unless_it_is_forced() -> None:
    key = put()
    assert outcomes({"Items": [{"Key": key}]}) == ["published"]

    assert outcomes({"Items": [{"Key": key}]}) == ["unchanged"]
    assert versions(key) == 1
    assert outcomes({"Items": [{"Key": key}], "BatchInput": {"force": True}}) == ["published"]
    assert outcomes({"Key": key, "force": True}) == ["published"]
    assert versions(key) == 3


def test_a_replay_with_a_new_revision_publishes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = put()
    assert outcomes({"Key": key}) == ["published"]
    monkeypatch.setattr(pipeline, "REVISION", "another")

    assert outcomes({"Key": key}) == ["published"]
    assert outcomes({"Key": key}) == ["unchanged"]


@pytest.mark.parametrize("name", [".JSON", ".json/", ".json.gz", "/", ""])
def test_keys_with_another_suffix_are_ignored(name: str) -> None:
    key = new_key().replace(".json", name)
    boto3.client("s3").put_object(Bucket=SETTINGS.raw_bucket, Key=key, Body=SCAN)

    assert outcomes({"Key": key}) == ["ignored"]
    assert versions(key) == 0


@pytest.mark.parametrize(
    ("window", "outcome"),
    [
        ({"created_after": LONG_AGO}, "published"),
        ({"created_after": LONG_AGO + 1}, "ignored"),
        ({"created_before": LONG_AGO + 1}, "published"),
        ({"created_before": "2023-11-14T22:13:20+00:00"}, "ignored"),
    ],
)
def test_objects_outside_the_requested_times_are_ignored(window: dict[str, Any], outcome: str) -> None:
    item = {"Key": put(), "LastModified": LONG_AGO}

    assert outcomes({"Items": [item], "BatchInput": window}) == [outcome]


@pytest.mark.parametrize(
    ("scheduled", "uploaded", "repaired"),
    [(True, LONG_AGO, True), (False, LONG_AGO, False), (True, 4_000_000_000, False)],
)
def test_a_scheduled_replay_counts_an_object_as_repaired_if_its_event_is_late(
    captured: pytest.CaptureFixture[str], *, scheduled: bool, uploaded: float, repaired: bool
) -> None:
    items = [{"Key": put(), "LastModified": uploaded, "scheduled": scheduled} for _ in range(2)]
    answer({"Items": items})
    answer({"Items": items})

    events = structured(captured.readouterr().out.splitlines())
    counts = [event["objects"] for event in events if event["message"] == "objects_repaired"]
    assert counts == ([2] if repaired else [])


def test_a_key_that_fails_does_not_stop_the_others_and_is_reported_with_its_error(
    deployment: Deployment,
) -> None:
    keys = [f"{CANARY}/{new_key()}" for _ in range(3)]
    for key in keys:
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    denied = f"arn:aws:s3:::{deployment.processed}/{keys[1]}"

    with without_permission("s3:*", denied):
        sent = {"Items": [{"Key": key, "force": True} for key in keys]}
        response, _ = deployment.answer_of(sent)

    assert [one["outcome"] for one in response["outcomes"]] == ["published", "failed", "published"]
    assert response["outcomes"][1]["error"].startswith("ObjectStoreError ")
    assert CANARY not in json.dumps(response)


UNREADABLE: list[Any] = [
    *(
        None,
        7,
        CANARY,
        [CANARY],
        {},
        {CANARY: CANARY},
        {"Key": None},
        {"Key": [CANARY]},
        {"Key": {CANARY: 1}},
    ),
    {"Key": f"{CANARY}\ud800.json"},
    {"Key": "a.json", "LastModified": CANARY},
    {"Key": "a.json", "LastModified": [CANARY]},
    {"Key": "a.json", "force": CANARY},
    {"Key": "a.json", "force": [CANARY]},
]


@pytest.mark.parametrize("invalid", UNREADABLE, ids=str)
def test_an_item_that_names_no_object_fails_the_batch_after_the_others_were_published(
    invalid: Any, captured: pytest.CaptureFixture[str]
) -> None:
    key = put()

    with pytest.raises(UploadsFailedError, match=r"^1 of 2 uploads: unreadable record$"):
        answer({"Items": [invalid, {"Key": key}]})

    assert versions(key) == 1
    assert CANARY not in "".join(captured.readouterr())


def job(*tasks: Any, **more: Any) -> dict[str, Any]:
    """Make a request of S3 Batch Operations, as AWS documents it."""
    return {
        "invocationSchemaVersion": "1.0",
        "invocationId": "i",
        "job": {"id": "j"},
        "tasks": [*tasks],
        **more,
    }


def task(key: str, bucket: str = SETTINGS.raw_bucket) -> dict[str, Any]:
    return {
        "taskId": key[-12:],
        "s3Key": quote(key),
        "s3VersionId": "1",
        "s3BucketArn": f"arn:aws:s3:::{bucket}",
    }


def test_a_job_of_s3_batch_operations_gets_a_result_for_each_task() -> None:
    keys = [put(), put(b"[oops"), put(b"[{}]"), put(b""), new_key(), f"{new_key()}.csv"]

    response = answer(job(*map(task, keys)))

    assert {
        name: response[name] for name in ("invocationSchemaVersion", "invocationId", "treatMissingKeysAs")
    } == {
        "invocationSchemaVersion": "1.0",
        "invocationId": "i",
        "treatMissingKeysAs": "TemporaryFailure",
    }
    assert [(one["taskId"], one["resultCode"]) for one in response["results"]] == [
        (keys[0][-12:], "Succeeded"),
        (keys[1][-12:], "PermanentFailure"),
        (keys[2][-12:], "PermanentFailure"),
        (keys[3][-12:], "Succeeded"),
        (keys[4][-12:], "Succeeded"),
        (keys[5][-12:], "Succeeded"),
    ]
    reported = [json.loads(one["resultString"]) for one in response["results"]]
    assert reported[0] == {"object": digest(keys[0]), "outcome": "published", **COUNTS}
    assert [one["outcome"] for one in reported] == [
        *("published", "malformed", "refused", "empty", "missing", "ignored")
    ]


@pytest.mark.parametrize("encoded", [quote, quote_plus])
def test_the_key_of_a_task_is_decoded_to_the_uploaded_key(encoded: Any) -> None:
    key = put(name=" a+b ü 100%")

    response = answer(job(task(key) | {"s3Key": encoded(key)}))

    assert json.loads(response["results"][0]["resultString"])["object"] == digest(key)
    assert versions(key) == 1


def test_a_task_of_schema_2_names_its_bucket_and_can_be_forced() -> None:
    key = put()
    second = {"taskId": "t", "s3Key": key, "s3VersionId": None, "s3Bucket": SETTINGS.raw_bucket}
    versions_after = []

    for force in ("false", "false", "true"):
        arguments = {"id": "j", "userArguments": {"force": force}}
        answer(job(second, invocationSchemaVersion="2.0", job=arguments))
        versions_after.append(versions(key))

    assert versions_after == [1, 1, 2]


@pytest.mark.parametrize("event", [{"Items": [{"Key": "a.json"}]}, {"Key": "a.json"}, job(task("a.json"))])
def test_every_object_of_a_batch_is_marked_as_replayed(event: Any) -> None:
    batch = replays.read(event, SETTINGS.raw_bucket)

    assert batch
    assert [item and item.arrival for item in batch.items] == [
        Arrival(SETTINGS.raw_bucket, "a.json", replayed=True)
    ]


def test_a_task_about_another_bucket_is_a_temporary_failure() -> None:
    (result,) = answer(job(task(put(), bucket="foreign")))["results"]

    assert result["resultCode"] == "TemporaryFailure"
    assert json.loads(result["resultString"])["error"] == "ForeignBucketError"


@pytest.mark.parametrize(
    "event",
    [
        {"Items": CANARY},
        {"Items": [{"Key": "a.json"}], "BatchInput": [CANARY]},
        job(CANARY),
        job({"taskId": "t", "s3Key": f"{CANARY}%FF.json", "s3Bucket": "raw"}),
        job({"taskId": "t", "s3Key": "a.json"}),
        job(task("a.json"), job={"userArguments": {"force": CANARY}}),
        job(task("a.json"), job=CANARY),
        job(task("a.json"), invocationSchemaVersion="3.0"),
        {"invocationSchemaVersion": "1.0", "tasks": [task("a.json")]},
    ],
    ids=lambda event: str(event)[:60],
)
def test_an_invalid_request_fails_without_its_content_in_the_log(
    event: Any, captured: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UploadsFailedError, match=r"^1 of 1 uploads: unreadable record$"):
        data_processor(event, CONTEXT)

    assert CANARY not in "".join(captured.readouterr())


def test_a_recent_upload_published_by_a_scheduled_run_does_not_count_as_repaired(
    captured: pytest.CaptureFixture[str],
) -> None:
    answer({"Items": [{"Key": put(), "LastModified": time.time() - 60, "scheduled": True}]})

    assert "objects_repaired" not in captured.readouterr().out


def test_an_item_of_a_listing_has_time_size_and_force_of_its_object() -> None:
    batch = replays.read({"Key": "a.json", "Size": "7", "LastModified": LONG_AGO, "force": True}, "raw")

    assert batch is not None
    (item,) = batch.items
    assert item is not None
    assert item.arrival == Arrival("raw", "a.json", LONG_AGO, size=7, replayed=True, force=True)
    assert item.wanted


def test_a_task_of_s3_batch_operations_replays_its_object_without_force() -> None:
    batch = replays.read(job(task("a.json")), "another")

    assert batch is not None
    (item,) = batch.items
    assert item is not None
    assert item.arrival == Arrival(SETTINGS.raw_bucket, "a.json", replayed=True, force=False)


def test_an_object_that_a_scheduled_run_finds_published_does_not_count_as_repaired(
    captured: pytest.CaptureFixture[str],
) -> None:
    key = put()
    answer({"Key": key})

    answer({"Key": key, "LastModified": LONG_AGO, "scheduled": True})

    assert "objects_repaired" not in captured.readouterr().out
