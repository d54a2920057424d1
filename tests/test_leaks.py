"""Canary patients, through every way that a document can fail: their words stay in the buckets."""

import json

import boto3
import pytest
from chalice.test import Client

import app
from chalicelib import pipeline
from tests.deployment import Deployment, log_lines, without_permission
from tests.events import s3_event

CANARY = "Canary-Wilhelmina"
KEY = f"{CANARY}/{{}}"
DOCUMENTS = {
    "published": f'[{{"patient_id":"{CANARY}","patient_name":"{CANARY}","diagnosis":"{CANARY}"}}]',
    "rejected": f'[{{"patient_id":"{CANARY}","patient_name":{{"{CANARY}":1}}}}, "{CANARY}"]',
    "broken value": f'[{{"patient_id":"{CANARY}","patient_name":{CANARY}}}]',
    "broken key": f'[{{"{CANARY}:1}}]',
    "broken escape": f'[{{"patient_id":"{CANARY}\\x"}}]',
    "garbage behind": f'[]"{CANARY}"',
    "cut": f'[{{"patient_id":"{CANARY}',
    "not UTF-8": f'[{{"patient_id":"{CANARY}","patient_name":"\udcff{CANARY}"}}]',
    "lone surrogate": f'[{{"patient_id":"{CANARY}","patient_name":"{CANARY}\\ud800"}}]',
    "lone surrogate, rejected": f'[{{"patient_id":"{CANARY}\\ud800"}}]',
    "nested": "[" * 5000 + f'"{CANARY}"',
    "not JSON": CANARY,
}


def encoded(document: str) -> bytes:
    return document.encode(errors="surrogateescape")


def all_logs() -> str:
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    prefix = len("/aws/lambda/")
    return "\n".join(line for group in groups for line in log_lines(group["logGroupName"][prefix:]))


def all_metadata(deployment: Deployment) -> list[dict[str, str]]:
    return [
        deployment.s3.head_object(Bucket=bucket, Key=key)["Metadata"]
        for bucket in (deployment.raw, deployment.processed, deployment.rejected)
        for key in deployment.keys(bucket, CANARY)
    ]


def test_no_word_of_a_patient_leaves_the_buckets(deployment: Deployment) -> None:
    for name, document in DOCUMENTS.items():
        deployment.upload(encoded(document), KEY.format(f"{name}.json"))
        answer = deployment.post(encoded(document))
        assert answer.status == 200 or (answer.status == 400 and CANARY.encode() not in answer.body)
    with without_permission("s3:PutObject"):
        body = encoded(DOCUMENTS["published"])
        deployment.s3.put_object(Bucket=deployment.raw, Key=KEY.format("denied.json"), Body=body)
        errors = [deployment.invoke((deployment.raw, KEY.format("denied.json")))]
    errors.append(deployment.invoke((CANARY, KEY.format("foreign bucket.json"))))

    assert None not in errors
    assert CANARY not in json.dumps(errors)
    assert CANARY not in str(all_metadata(deployment))
    deployment.logged("object_failed")
    deployment.logged("object_malformed")
    log = all_logs()
    assert "document_answered" in log
    assert CANARY not in log


def fail(*_: object) -> None:
    raise KeyError(CANARY)


def test_a_bug_in_the_processing_is_told_without_its_words(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "extract", fail)
    key = KEY.format("bug.json")
    deployment.upload(encoded(DOCUMENTS["published"]), key)
    deployment.s3.delete_object(Bucket=deployment.processed, Key=key)

    with Client(app.app, stage_name="local") as client, pytest.raises(pipeline.UploadsFailedError) as error:
        client.lambda_.invoke("data-processor", s3_event((deployment.raw, key)))

    assert str(error.value).endswith(" KeyError")
    assert error.value.__context__ is None
    assert CANARY not in "".join(said.readouterr())


@pytest.mark.filterwarnings("ignore:IAMAuthorizer is not a supported in local mode")  # as Chalice words it
def test_a_bug_in_the_api_is_told_without_its_words(
    monkeypatch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "extract", fail)

    with Client(app.app, stage_name="local") as client:
        answer = client.http.post("/process", body=encoded(DOCUMENTS["published"]))

    output = "".join(said.readouterr())
    assert answer.status_code == 500
    assert answer.json_body == {"reason": "internal error"}
    assert "document_failed" in output
    assert CANARY not in output
