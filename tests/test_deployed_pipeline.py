"""The deployed zip in the local cloud: results of uploads, and what happens on failures.

Every test runs twice: once where S3 invokes the function, and once with the upload queue.
"""

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from chalicelib.extraction import REVISION
from chalicelib.safe_names import object_name
from infra.ops.aws.place import locate
from infra.ops.aws.uploads import refusal_key, report_key
from infra.ops.commands.redrive import redrive
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import ROOT, local_cloud
from tests.deployment import FUNCTION, Deployment, new_key, without_permission
from tests.events import TEST_EVENT, s3_event

SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'


@pytest.fixture(scope="module", params=["direct", "queue"])
def deployment(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Deployment]:
    """The stage in both modes. With a queue, it gets its own local cloud beside that of the other tests."""
    if request.param == "direct":
        yield deployment
    else:
        with local_cloud() as folder:
            local_stage.make_buckets()
            yield Deployment(local_stage.deploy(folder, ingest="queue"))


def log_name(key: str) -> dict[str, str]:
    """Return an object's name in the log."""
    return {"digest": object_name(key, log_object_keys=False).digest}


PUBLISHED = b'[\n{"patient_id":"P-1","patient_name":"Ada"}\n]\n'


def test_the_sample_is_published_as_the_readme_says(deployment: Deployment) -> None:
    key = new_key()
    sample = (ROOT / "samples" / "ikerian_sample.json").read_bytes()

    outcome = deployment.upload(sample, key)

    assert (outcome.extracted, outcome.rejected) == (2, 0)
    assert deployment.get(deployment.processed, key) == (
        b"[\n"
        b'{"patient_id":"A12345","patient_name":"Ikerian A"},\n'
        b'{"patient_id":"B67890","patient_name":"Ikerian B"}\n'
        b"]\n"
    )
    assert deployment.keys(deployment.rejected, key) == []


def test_the_function_runs_the_deployed_zip(deployment: Deployment) -> None:
    deployment.upload(SCAN)

    started = deployment.logged("function_started")
    roots = {module.rpartition("/")[0].rpartition("/")[0] for module in started["modules"]}
    assert len(started["modules"]) == 3
    assert len(roots) == 1
    assert roots.pop().endswith("/code")
    assert ".venv" not in str(started["modules"])


@pytest.mark.parametrize(
    "name",
    [
        "in/a b+ü=1 (copy).json",
        "100%25/&?#[]{}.json",
        "日本/🦉 ' \".json",
        "-rf ;$(true)`.json",
        "a//b/../c.json",
        "/\t\x7f\u202e\ufeff|\\^`<>.json",
        "%2F%00%C3%.json",
        f"{'ü' * 400}.json",
    ],
)
def test_an_odd_key_is_published_under_exactly_that_key(deployment: Deployment, name: str) -> None:
    key = new_key() + name

    deployment.upload(SCAN, key)

    assert deployment.keys(deployment.processed, key) == [key]
    assert deployment.get(deployment.processed, key) == PUBLISHED


def test_a_key_that_does_not_end_in_json_is_ignored(deployment: Deployment) -> None:
    key = new_key()
    deployment.s3.put_object(Bucket=deployment.raw, Key=f"{key}.txt", Body=SCAN)

    deployment.upload(SCAN, key)

    assert deployment.keys(deployment.processed, key) == [key]


def test_gzip_is_recognised_by_its_first_bytes(deployment: Deployment) -> None:
    key = new_key()

    deployment.upload(gzip.compress(SCAN), key)

    assert deployment.get(deployment.processed, key) == PUBLISHED


def test_a_record_that_is_not_valid_is_kept_and_the_rest_is_published(deployment: Deployment) -> None:
    key = new_key()
    bad = '{"patient_id":"P-2","scan":{"microns":1.50}}'

    outcome = deployment.upload(SCAN[:-1] + f",{bad}]".encode(), key)

    assert (outcome.extracted, outcome.rejected) == (1, 1)
    assert deployment.get(deployment.processed, key) == PUBLISHED
    kept = deployment.get(deployment.rejected, f"{key}/{outcome.version}.jsonl")
    assert kept == f'{{"index":1,"reason":"patient_name: missing","record":{bad}}}\n'.encode()


@pytest.mark.parametrize(
    "document",
    [b" \n", b"[", b"[}", SCAN + b"]", SCAN[:-1], b"42", b'[{"patient_id":', b"\x1f\x8b\x08broken"],
    ids=[
        "white space",
        "cut",
        "wrong",
        "trailing garbage",
        "unclosed",
        "a number",
        "cut key",
        "gzip",
    ],
)
def test_a_malformed_object_is_reported_once_and_publishes_nothing(
    deployment: Deployment, document: bytes
) -> None:
    key = new_key()

    outcome = deployment.upload(document, key)

    assert outcome.malformed
    assert deployment.keys(deployment.processed, key) == []
    report = json.loads(deployment.get(deployment.rejected, f"{key}/{outcome.version}.jsonl"))
    assert set(report) == {"reason", "offset"}
    assert deployment.get(deployment.raw, key) == document
    deployment.logged("object_malformed", version=outcome.version, **report)


def test_a_malformed_object_does_not_make_the_invocation_fail(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(b"[", key)

    assert deployment.invoke((deployment.raw, key)) is None


def test_an_empty_array_gives_an_empty_array(deployment: Deployment) -> None:
    key = new_key()

    deployment.upload(b"[]", key)

    assert json.loads(deployment.get(deployment.processed, key)) == []


def test_an_object_of_0_bytes_publishes_nothing_and_reports_nothing(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    outcome = deployment.upload(b"", key)

    deployment.logged("object_empty", version=outcome.version)
    assert deployment.get(deployment.processed, key) == PUBLISHED
    assert deployment.keys(deployment.rejected, key) == []


def test_an_object_without_a_valid_record_is_reported_and_changes_nothing_published(
    deployment: Deployment,
) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    outcome = deployment.upload(b'[{"patient_id":1,"patient_name":"Ada"},7]', key)

    assert outcome.refused
    assert deployment.get(deployment.processed, key) == PUBLISHED
    kept = deployment.get(deployment.rejected, f"{key}/{outcome.version}.jsonl").splitlines()
    assert [json.loads(line)["record"] for line in kept] == [{"patient_id": 1, "patient_name": "Ada"}, 7]
    deployment.logged("object_refused", version=outcome.version, rejected=2)


def test_a_refused_object_leaves_a_proof_and_an_interrupted_publication_leaves_none(
    deployment: Deployment,
) -> None:
    refused = deployment.upload(b"[7,8]")
    key = new_key()
    with without_permission("s3:PutObject", f"arn:aws:s3:::{deployment.processed}/*"):
        version = deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN[:-1] + b",7]")[
            "VersionId"
        ]
        deployment.await_key(deployment.rejected, report_key(key, version))

        proof = deployment.s3.get_object(
            Bucket=deployment.rejected, Key=refusal_key(refused.key, refused.version)
        )
        assert proof["Metadata"] == {"source-version": refused.version, "extraction-revision": REVISION}
        assert proof["Body"].read() == b'{"rejected":2}\n'
        assert deployment.keys(deployment.rejected, key) == [report_key(key, version)]


def test_a_malformed_object_changes_nothing_published(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    deployment.upload(b"[", key)

    assert deployment.get(deployment.processed, key) == PUBLISHED


def test_a_deleted_object_is_not_a_failure(deployment: Deployment) -> None:
    key = new_key()

    assert deployment.invoke((deployment.raw, key)) is None

    deployment.logged("object_missing", object=log_name(key), deleted=False)


def test_a_recent_upload_that_s3_does_not_show_yet_fails_the_invocation_so_that_lambda_retries(
    deployment: Deployment,
) -> None:
    key = new_key()

    error = deployment.invoke_with(s3_event((deployment.raw, key), uploaded=time.time() - 60))

    assert error is not None
    assert error["errorMessage"] == f"1 of 1 uploads: {log_name(key)['digest']} UnseenError"


def test_a_recent_upload_that_was_deleted_is_not_a_failure(deployment: Deployment) -> None:
    key = f"{new_key()}.unannounced"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    deployment.s3.delete_object(Bucket=deployment.raw, Key=key)

    assert deployment.invoke_with(s3_event((deployment.raw, key), uploaded=time.time())) is None

    deployment.logged("object_missing", object=log_name(key), deleted=True)
    assert deployment.keys(deployment.processed, key) == []


def test_an_undeleted_object_is_published_even_if_it_was_deleted_at_once(deployment: Deployment) -> None:
    keys = [new_key() for _ in range(5)]
    for key in keys:
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        marker = deployment.s3.delete_object(Bucket=deployment.raw, Key=key)["VersionId"]
        time.sleep(0.4)
        deployment.s3.delete_object(Bucket=deployment.raw, Key=key, VersionId=marker)

    for key in keys:
        deployment.await_key(deployment.processed, key)


def test_after_the_newest_version_is_removed_the_previous_one_is_published_again(
    deployment: Deployment,
) -> None:
    key = new_key()
    before = deployment.upload(SCAN, key)
    newest = deployment.upload(b"[]", key)

    deployment.s3.delete_object(Bucket=deployment.raw, Key=key, VersionId=newest.version)

    deployment.await_key(deployment.processed, key, version=before.version)
    assert deployment.get(deployment.processed, key) == PUBLISHED


def test_a_test_event_is_not_a_failure(deployment: Deployment) -> None:
    assert deployment.invoke_with(TEST_EVENT) is None

    deployment.logged("no_uploads")


def test_one_failing_object_does_not_stop_the_others(deployment: Deployment) -> None:
    before, after = new_key(), new_key()
    for key in (before, after):
        deployment.upload(SCAN, key)
        deployment.s3.delete_object(Bucket=deployment.processed, Key=key)

    error = deployment.invoke(
        (deployment.raw, before), (deployment.processed, "foreign.json"), (deployment.raw, after)
    )

    assert error is not None
    assert error["errorMessage"].startswith("1 of 3 uploads: ")
    assert error["errorMessage"].endswith(" ForeignBucketError")
    for key in (before, after):
        assert deployment.get(deployment.processed, key) == PUBLISHED


def test_a_duplicate_event_changes_nothing(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(SCAN, key)
    version = deployment.s3.head_object(Bucket=deployment.processed, Key=key)["VersionId"]

    assert deployment.invoke((deployment.raw, key), (deployment.raw, key)) is None

    deployment.logged("object_unchanged", object=log_name(key))
    assert deployment.s3.head_object(Bucket=deployment.processed, Key=key)["VersionId"] == version


def test_a_newer_version_replaces_an_older_one_and_late_events_change_nothing(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(b'[{"patient_id":"P-0","patient_name":"Old"}]', key)

    outcome = deployment.upload(SCAN, key)
    deployment.invoke((deployment.raw, key))

    assert deployment.logged("object_published", version=outcome.version)["replaced"]
    assert deployment.get(deployment.processed, key) == PUBLISHED


def test_output_of_several_parts_is_published_replaced_and_rejected(
    deployment: Deployment,
) -> None:
    key = new_key()
    count = 9000  # records of 1 KiB each: more than one part of 8 MiB

    for name in ("Ada " * 256, "Eva " * 256):
        valid = [{"patient_id": "P-1", "patient_name": name}] * count
        outcome = deployment.upload(json.dumps([*valid, *[{"patient_name": name}] * count]).encode(), key)

        assert (outcome.extracted, outcome.rejected) == (count, count)
        assert json.loads(deployment.get(deployment.processed, key)) == valid
        assert parts(deployment, deployment.processed, key) == 2
    reports = deployment.keys(deployment.rejected, key)
    assert [parts(deployment, deployment.rejected, report) for report in reports] == [2, 2]


def parts(deployment: Deployment, bucket: str, key: str) -> int:
    """Return the number of parts that an object was uploaded in, from its ETag."""
    return int(deployment.s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"').rpartition("-")[2])


@contextmanager
def short_visibility_timeout() -> Iterator[None]:
    """Set the visibility timeout to one second, so that failed messages come again soon."""
    sqs: Any = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{FUNCTION}-uploads")["QueueUrl"]
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


@pytest.mark.parametrize("deployment", ["queue"], indirect=True)
def test_a_message_that_fails_five_times_waits_in_the_failure_queue_and_redrive_publishes_it(
    deployment: Deployment,
) -> None:
    key = new_key()
    sqs = boto3.client("sqs")
    failures = sqs.get_queue_url(QueueName=f"{FUNCTION}-failures")["QueueUrl"]

    with short_visibility_timeout(), without_permission("s3:PutObject"):
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        (message,) = sqs.receive_message(QueueUrl=failures, VisibilityTimeout=0, WaitTimeSeconds=20)[
            "Messages"
        ]

    (notification,) = json.loads(message["Body"])["Records"]
    assert notification["s3"]["object"]["key"] == key
    assert redrive(locate("local"), lambda *_: None).accepted == 1
    deployment.logged("object_published", object=log_name(key))
    assert deployment.get(deployment.processed, key) == PUBLISHED


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject"])
def test_a_missing_permission_fails_the_invocation_and_a_retry_succeeds(
    deployment: Deployment, action: str
) -> None:
    key = new_key() + ".unannounced"  # S3 sends no event for this suffix, only this test does

    with without_permission(action):
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        error = deployment.invoke((deployment.raw, key))

    assert error is not None
    assert "AccessDenied" in error["errorMessage"] or "403" in error["errorMessage"]
    deployment.logged("object_failed", object=log_name(key))
    assert deployment.invoke((deployment.raw, key)) is None
    assert deployment.get(deployment.processed, key) == PUBLISHED


@contextmanager
def environment(deployment: Deployment, **changes: str) -> Iterator[None]:
    """Change the function's environment for a while."""
    before = deployment.functions.get_function_configuration(FunctionName=FUNCTION)
    variables = before["Environment"]["Variables"]
    _set_environment(deployment, variables | changes)
    try:
        yield
    finally:
        _set_environment(deployment, variables)


def _set_environment(deployment: Deployment, variables: dict[str, str]) -> None:
    deployment.functions.update_function_configuration(
        FunctionName=FUNCTION, Environment={"Variables": variables}
    )


def test_wrong_settings_fail_the_cold_start_with_one_message_that_names_all_of_them(
    deployment: Deployment,
) -> None:
    with environment(
        deployment, PROCESSED_BUCKET=deployment.raw, REJECTED_BUCKET="", LOG_OBJECT_KEYS="maybe"
    ):
        error = deployment.invoke((deployment.raw, new_key()))

    assert error is not None
    for fault in (
        "REJECTED_BUCKET is not set",
        "RAW_BUCKET and PROCESSED_BUCKET name the same bucket",
        "LOG_OBJECT_KEYS is neither true nor false",
    ):
        assert fault in error["errorMessage"]
