"""Batches: what a replay and S3 Batch Operations send to the function, and what it answers."""

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
from chalicelib.settings import Settings
from chalicelib.telemetry import object_name
from tests.canaries import CANARY
from tests.deployment import Deployment, new_key, without_permission
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


def test_a_batch_is_told_what_became_of_every_key_in_its_order_and_no_key() -> None:
    keys = [put(), put(b"[oops"), put(b"[{}]"), put(b""), new_key(), f"{new_key()}.JSON", put()]

    told = answer({"Items": [{"Key": key, "Size": 1, "LastModified": LONG_AGO} for key in keys]})

    assert told["revision"] == REVISION
    assert [outcome["object"] for outcome in told["outcomes"]] == [digest(key) for key in keys]
    assert [outcome["outcome"] for outcome in told["outcomes"]] == [
        *("published", "malformed", "refused", "empty", "missing", "ignored", "published")
    ]
    assert told["outcomes"][0] == {"object": digest(keys[0]), "outcome": "published", **COUNTS}
    assert told["outcomes"][1]["reason"] == "not JSON"
    assert not any(key in json.dumps(told) for key in keys)


def test_a_single_item_alone_is_a_batch_of_one() -> None:
    key = put()

    assert answer({"Key": key}) == {
        "revision": REVISION,
        "outcomes": [{"object": digest(key), "outcome": "published", **COUNTS}],
    }


def test_no_items_ask_for_the_revision() -> None:
    assert answer({"Items": []}) == {"revision": REVISION, "outcomes": []}


def test_a_second_replay_publishes_nothing_unless_it_is_forced() -> None:
    key = put()
    assert outcomes({"Items": [{"Key": key}]}) == ["published"]

    assert outcomes({"Items": [{"Key": key}]}) == ["unchanged"]
    assert versions(key) == 1
    assert outcomes({"Items": [{"Key": key}], "BatchInput": {"force": True}}) == ["published"]
    assert outcomes({"Key": key, "force": True}) == ["published"]
    assert versions(key) == 3


def test_another_revision_of_the_extraction_publishes_everything_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = put()
    assert outcomes({"Key": key}) == ["published"]
    monkeypatch.setattr(pipeline, "REVISION", "another")

    assert outcomes({"Key": key}) == ["published"]
    assert outcomes({"Key": key}) == ["unchanged"]


@pytest.mark.parametrize("name", [".JSON", ".json/", ".json.gz", "/", ""])
def test_keys_that_no_event_would_name_are_left_alone(name: str) -> None:
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
def test_objects_outside_the_times_asked_for_are_left_alone(window: dict[str, Any], outcome: str) -> None:
    item = {"Key": put(), "LastModified": LONG_AGO}

    assert outcomes({"Items": [item], "BatchInput": window}) == [outcome]


@pytest.mark.parametrize(
    ("scheduled", "uploaded", "repaired"),
    [(True, LONG_AGO, True), (False, LONG_AGO, False), (True, 4_000_000_000, False)],
)
def test_what_a_scheduled_run_publishes_was_repaired_if_its_event_is_late(
    said: pytest.CaptureFixture[str], *, scheduled: bool, uploaded: float, repaired: bool
) -> None:
    items = [{"Key": put(), "LastModified": uploaded, "scheduled": scheduled} for _ in range(2)]
    answer({"Items": items})
    answer({"Items": items})

    assert said.readouterr().out.count('"message":"objects_repaired"') == repaired


def test_a_key_that_fails_hides_no_other_and_is_told_by_its_error(deployment: Deployment) -> None:
    keys = [f"{CANARY}/{new_key()}" for _ in range(3)]
    for key in keys:
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    denied = f"arn:aws:s3:::{deployment.processed}/{keys[1]}"

    with without_permission("s3:*", denied):
        sent = {"Items": [{"Key": key, "force": True} for key in keys]}
        told, _ = deployment.answer_of(sent)

    assert [one["outcome"] for one in told["outcomes"]] == ["published", "failed", "published"]
    assert told["outcomes"][1]["error"].startswith("ObjectStoreError ")
    assert CANARY not in json.dumps(told)


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


@pytest.mark.parametrize("poison", UNREADABLE, ids=str)
def test_an_item_that_names_no_object_fails_loudly_and_hides_no_other(
    poison: Any, said: pytest.CaptureFixture[str]
) -> None:
    key = put()

    with pytest.raises(UploadsFailedError, match=r"^1 of 2 uploads: unreadable record$"):
        answer({"Items": [poison, {"Key": key}]})

    assert versions(key) == 1
    assert CANARY not in "".join(said.readouterr())


def job(*tasks: Any, **more: Any) -> dict[str, Any]:
    """Make the request of S3 Batch Operations, as AWS documents it."""
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


def test_a_job_of_s3_batch_operations_is_answered_in_its_own_words() -> None:
    keys = [put(), put(b"[oops"), put(b"[{}]"), put(b""), new_key(), f"{new_key()}.csv"]

    told = answer(job(*map(task, keys)))

    assert {
        name: told[name] for name in ("invocationSchemaVersion", "invocationId", "treatMissingKeysAs")
    } == {
        "invocationSchemaVersion": "1.0",
        "invocationId": "i",
        "treatMissingKeysAs": "TemporaryFailure",
    }
    assert [(one["taskId"], one["resultCode"]) for one in told["results"]] == [
        (keys[0][-12:], "Succeeded"),
        (keys[1][-12:], "PermanentFailure"),
        (keys[2][-12:], "PermanentFailure"),
        (keys[3][-12:], "Succeeded"),
        (keys[4][-12:], "Succeeded"),
        (keys[5][-12:], "Succeeded"),
    ]
    said = [json.loads(one["resultString"]) for one in told["results"]]
    assert said[0] == {"object": digest(keys[0]), "outcome": "published", **COUNTS}
    assert [one["outcome"] for one in said] == [
        *("published", "malformed", "refused", "empty", "missing", "ignored")
    ]


@pytest.mark.parametrize("encoded", [quote, quote_plus])
def test_the_key_of_a_task_is_read_as_it_was_uploaded(encoded: Any) -> None:
    key = put(name=" a+b ü 100%")

    told = answer(job(task(key) | {"s3Key": encoded(key)}))

    assert json.loads(told["results"][0]["resultString"])["object"] == digest(key)
    assert versions(key) == 1


def test_the_second_schema_names_the_bucket_and_may_force() -> None:
    key = put()
    second = {"taskId": "t", "s3Key": key, "s3VersionId": None, "s3Bucket": SETTINGS.raw_bucket}
    arguments = {"id": "j", "userArguments": {"force": "true"}}

    for _ in range(2):
        answer(job(second, invocationSchemaVersion="2.0", job=arguments))

    assert versions(key) == 2


def test_a_task_about_another_bucket_fails_and_may_be_tried_again() -> None:
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
def test_what_is_not_understood_fails_without_its_words(event: Any, said: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UploadsFailedError, match=r"^1 of 1 uploads: unreadable record$"):
        data_processor(event, CONTEXT)

    assert CANARY not in "".join(said.readouterr())


def test_what_was_uploaded_a_moment_ago_is_not_late_however_a_scheduled_run_meets_it(
    said: pytest.CaptureFixture[str],
) -> None:
    answer({"Items": [{"Key": put(), "LastModified": time.time() - 60, "scheduled": True}]})

    assert "objects_repaired" not in said.readouterr().out


def test_an_item_of_a_listing_says_all_that_is_known_of_its_object() -> None:
    batch = replays.read({"Key": "a.json", "Size": "7", "LastModified": LONG_AGO, "force": True}, "raw")

    assert batch is not None
    (item,) = batch.items
    assert item is not None
    assert item.arrival == Arrival("raw", "a.json", LONG_AGO, size=7, replayed=True, force=True)
    assert item.wanted


def test_a_task_asks_for_its_object_again_and_forces_nothing_by_itself() -> None:
    batch = replays.read(job(task("a.json")), "another")

    assert batch is not None
    (item,) = batch.items
    assert item is not None
    assert item.arrival == Arrival(SETTINGS.raw_bucket, "a.json", replayed=True, force=False)


def test_a_scheduled_run_that_finds_an_object_published_has_repaired_nothing(
    said: pytest.CaptureFixture[str],
) -> None:
    key = put()
    answer({"Key": key})

    answer({"Key": key, "LastModified": LONG_AGO, "scheduled": True})

    assert "objects_repaired" not in said.readouterr().out
