"""The functions in AWS's runtime, with every setting that logs more: no patient data is logged."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.ops.local import stage as local_stage
from tests.account import acting_as, allow
from tests.canaries import CANARY, DOCUMENTS
from tests.deployment import Deployment
from tests.events import api_event, s3_event
from tests.lambda_runtime import Runtime, runtime

VERBOSE = {
    "AWS_LAMBDA_LOG_FORMAT": "JSON",
    "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
    "LOG_LEVEL": "DEBUG",
    "POWERTOOLS_DEBUG": "true",
    "POWERTOOLS_DEV": "true",
    "POWERTOOLS_LOGGER_LOG_EVENT": "true",
    "POWERTOOLS_LOGGER_SAMPLE_RATE": "1",
    "POWERTOOLS_LOG_DEDUPLICATION_DISABLED": "true",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    "POWERTOOLS_METRICS_DISABLED": "false",  # POWERTOOLS_DEV would set it to true
    "POWERTOOLS_SERVICE_NAME": "verbose",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONWARNINGS": "always",
}
ENVIRONMENT = local_stage.environment() | VERBOSE
TYPES = {"Content-Type": "application/json"}
REQUESTS: dict[str, dict[str, Any]] = {
    "content type": api_event("[]", {"Content-Type": CANARY}),
    "parameter of the content type": api_event("[", {"Content-Type": f"application/json; charset={CANARY}"}),
    "content encoding": api_event("[", TYPES | {"Content-Encoding": CANARY}),
    "accept": api_event("[", TYPES | {"Accept": CANARY}),
    "name of a header": api_event("[", TYPES | {CANARY: CANARY}),
    "no headers": api_event(CANARY, None),
    "query string": api_event("[", TYPES, queryStringParameters={CANARY: CANARY})
    | {"multiValueQueryStringParameters": {CANARY: [CANARY]}},
    "path": api_event("[", TYPES, path=f"/process/{CANARY}", pathParameters={"proxy": CANARY}),
    "not base64": api_event(f"{CANARY}=!", TYPES, isBase64Encoded=True),
    "base64 that is not ASCII": api_event(f"{CANARY}\u00fc", TYPES, isBase64Encoded=True),
    "half a surrogate pair": api_event(f"{CANARY}\ud800", TYPES),
    "no body": api_event(None, TYPES | {"X-Patient": CANARY}),
    **{
        name: api_event(base64.b64encode(document).decode(), TYPES, isBase64Encoded=True)
        for name, document in DOCUMENTS.items()
    },
}


@pytest.fixture
def processor(tmp_path: Path) -> Iterator[Runtime]:
    with runtime("app.data_processor", tmp_path, ENVIRONMENT) as function:
        yield function


def key(name: str) -> str:
    return f"verbose/{CANARY}/{name}.unannounced"


def test_nothing_of_an_upload_is_logged(deployment: Deployment, processor: Runtime) -> None:
    for name, document in DOCUMENTS.items():
        deployment.s3.put_object(Bucket=deployment.raw, Key=key(name), Body=document)

    event = s3_event(*((deployment.raw, key(name)) for name in [*DOCUMENTS, "missing"]))
    assert processor.invoke(event) is None
    errors = [
        processor.invoke(s3_event((CANARY, key("foreign")))),
        processor.invoke({"Records": [CANARY, {CANARY: CANARY}]}),
        processor.invoke(CANARY),
    ]

    assert {error["errorType"] for error in errors} == {"UploadsFailedError"}
    assert CANARY not in json.dumps(errors)
    log = processor.log()
    for word in ("object_published", "object_malformed", "object_missing", "object_failed", "BytesRead"):
        assert word in log
    assert CANARY not in log


@pytest.mark.parametrize("level", ["WARN", "ERROR", "FATAL"])
def test_no_level_hides_an_event_that_an_alarm_refers_to(
    deployment: Deployment, tmp_path: Path, level: str
) -> None:
    deployment.s3.put_object(Bucket=deployment.raw, Key=key("malformed"), Body=b"[")
    quiet = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": level, "POWERTOOLS_LOG_LEVEL": level}

    with runtime("app.data_processor", tmp_path, local_stage.environment() | quiet) as function:
        function.invoke(s3_event((deployment.raw, key("malformed")), ("foreign", key("foreign"))))

    messages = [json.loads(line).get("message") for line in function.log().splitlines() if line[:1] == "{"]
    assert [message for message in messages if message] == ["object_malformed", "object_failed"]
    assert '"ObjectsMalformed":[1' in function.log()


def test_nothing_of_an_upload_that_s3_refuses_is_logged(deployment: Deployment, tmp_path: Path) -> None:
    lookup = [allow(action, "arn:aws:s3:::*processed*") for action in ("s3:GetObject", "s3:ListBucket")]
    with acting_as("nobody", *lookup), runtime("app.data_processor", tmp_path, ENVIRONMENT) as function:
        error = function.invoke(s3_event((deployment.raw, key("published"))))

    assert error["errorMessage"].endswith(" ObjectStoreError get_object: AccessDenied")
    assert CANARY not in json.dumps(error)
    assert "object_failed" in function.log()
    assert CANARY not in function.log()


@pytest.mark.usefixtures("deployment")
def test_nothing_of_a_posted_document_is_logged(tmp_path: Path) -> None:
    with runtime("app.app", tmp_path, ENVIRONMENT) as function:
        answers = {name: function.invoke(event) for name, event in REQUESTS.items()}

    assert {answer["statusCode"] for answer in answers.values()} == {200, 400, 415, 500}
    refused = {name: answer for name, answer in answers.items() if answer["statusCode"] != 200}
    assert CANARY not in json.dumps(refused)
    assert CANARY not in json.dumps([answer["headers"] for answer in answers.values()])
    assert function.log().count("document_answered") + function.log().count("document_failed") == len(answers)
    assert CANARY not in function.log()
