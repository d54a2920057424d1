"""Canary patients in documents that fail in every way: their data stays in the buckets."""

import json

import boto3
import pytest
from chalice.test import Client

import app
from chalicelib import invocations, pipeline
from chalicelib.events import Arrival
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings
from tests.canaries import CANARY, DOCUMENTS
from tests.deployment import Deployment, log_lines, without_permission
from tests.events import CONTEXT, s3_event

KEY = f"{CANARY}/{{}}"
# Of a replay and of S3 Batch Operations: with a key that fails, and with an item that cannot be read.
BATCHES = [
    {"Items": [{"Key": KEY.format("published.json"), "force": True}, {"Key": KEY.format("absent.json")}]},
    {"Items": [{"Key": KEY.format("published.json"), "force": CANARY}]},
    {
        "invocationSchemaVersion": "1.0",
        "invocationId": "i",
        "job": {"id": "j"},
        "tasks": [
            {"taskId": "t", "s3Key": KEY.format("foreign.json"), "s3BucketArn": f"arn:aws:s3:::{CANARY}"}
        ],
    },
]
# test_leaks_loud.py has all of them.
SOME = {
    name: DOCUMENTS[name]
    for name in ("published", "rejected", "broken value", "not UTF-8", "nested", "gzip, damaged")
}


def all_logs() -> str:
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    prefix = len("/aws/lambda/")
    return "\n".join(line for group in groups for line in log_lines(group["logGroupName"][prefix:]))


def all_heads(deployment: Deployment) -> list[str]:
    """Return metadata, content type and number of tags: everything but the content."""
    return [
        str(deployment.s3.head_object(Bucket=bucket, Key=key))
        for bucket in (deployment.raw, deployment.processed, deployment.rejected)
        for key in deployment.keys(bucket, CANARY)
    ]


def test_no_patient_data_leaves_the_buckets(deployment: Deployment) -> None:
    for name, document in SOME.items():
        deployment.upload(document, KEY.format(f"{name}.json"))
        answer = deployment.post(document)
        assert answer.status == 200 or (answer.status == 400 and CANARY.encode() not in answer.body)
    with without_permission("s3:PutObject"):
        body = DOCUMENTS["published"]
        deployment.s3.put_object(Bucket=deployment.raw, Key=KEY.format("denied.unannounced"), Body=body)
        errors = [deployment.invoke((deployment.raw, KEY.format("denied.unannounced")))]
        batches = [deployment.answer_of(batch) for batch in BATCHES]
    errors.append(deployment.invoke((CANARY, KEY.format("foreign bucket.json"))))

    assert None not in errors
    assert CANARY not in json.dumps(errors)
    assert '"error": "ObjectStoreError ' in json.dumps(batches)
    assert CANARY not in json.dumps(batches)
    assert CANARY not in str(all_heads(deployment))
    deployment.logged("object_failed")
    deployment.logged("object_malformed")
    log = all_logs()
    assert "document_answered" in log
    assert CANARY not in log


def test_an_object_without_a_version_id_is_not_logged_with_a_digest_of_its_content(
    deployment: Deployment, captured: pytest.CaptureFixture[str]
) -> None:
    settings = Settings("no-versions-raw", "no-versions-processed", "no-versions-rejected")
    for bucket in (settings.raw_bucket, settings.processed_bucket, settings.rejected_bucket):
        deployment.s3.create_bucket(Bucket=bucket)
    answer = deployment.s3.put_object(Bucket=settings.raw_bucket, Key="a", Body=DOCUMENTS["published"])

    invocations.handle(
        [Arrival(settings.raw_bucket, "a")],
        ObjectStore(deployment.s3),
        settings,
        CONTEXT.get_remaining_time_in_millis,
    )

    output = captured.readouterr().out
    assert '"version":"null"' in output
    assert answer["ETag"].strip('"') not in output


def fail(*_: object, **__: object) -> None:
    raise KeyError(CANARY)


@pytest.mark.parametrize("step", ["extract", "Upload", "_metadata", "Outcomes", "_is_current"])
def test_a_bug_in_the_pipeline_is_logged_without_its_message(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str], step: str
) -> None:
    key = KEY.format(f"{step}.unannounced")
    for bucket in (deployment.raw, deployment.processed):
        deployment.s3.put_object(Bucket=bucket, Key=key, Body=DOCUMENTS["published"])
    monkeypatch.setattr(pipeline.Publication if step == "_is_current" else pipeline, step, fail)

    with pytest.raises(invocations.UploadsFailedError) as error:
        app.data_processor(s3_event((deployment.raw, key)), CONTEXT)

    assert str(error.value).endswith(" KeyError")
    assert error.value.__context__ is None
    assert CANARY not in "".join(captured.readouterr())


@pytest.mark.filterwarnings("ignore:IAMAuthorizer is not a supported in local mode")  # the words of Chalice
@pytest.mark.parametrize("step", ["extract", "bounded", "Answer"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_in_the_api_is_logged_without_its_message(
    monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str], step: str, *, debug: bool
) -> None:
    monkeypatch.setattr(app, step, fail)
    monkeypatch.setattr(app.app, "_debug", debug)

    with Client(app.app, stage_name="local") as client:
        answer = client.http.post("/process", body=DOCUMENTS["published"])

    output = "".join(captured.readouterr())
    assert answer.status_code == 500
    assert answer.json_body == {"reason": "internal error"}
    assert "document_failed" in output
    assert CANARY not in output
