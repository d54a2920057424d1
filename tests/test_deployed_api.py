"""POST /process on the deployed API, with IAM enforced."""

import gzip
import json

import boto3
import pytest

from chalicelib.answer import MAX_ANSWER, MAX_DOCUMENT
from tests.deployment import Deployment

RECORD = '{"patient_id":"P-1","patient_name":"Ada","diagnosis":"normal"}'
PATIENT = {"patient_id": "P-1", "patient_name": "Ada"}


@pytest.mark.parametrize(
    ("document", "patients"),
    [(f"[{RECORD},{RECORD}]", 2), (RECORD, 1), (f"{RECORD}\n{RECORD}\n{RECORD}\n", 3), ("[]", 0)],
    ids=["array", "one record", "JSON Lines", "empty array"],
)
def test_a_document_is_answered_with_its_patients(
    deployment: Deployment, document: str, patients: int
) -> None:
    answer = deployment.post(document.encode())

    assert answer.status == 200
    assert json.loads(answer.body) == {
        "records": [PATIENT] * patients,
        "rejected": [],
        "counts": {"extracted": patients, "rejected": 0},
    }


def test_a_gzip_document_is_decompressed(deployment: Deployment) -> None:
    answer = deployment.post(gzip.compress(f"[{RECORD}]".encode()), Content_Encoding="gzip")

    assert answer.status == 200
    assert json.loads(answer.body)["records"] == [PATIENT]


def test_a_gzip_document_needs_no_content_encoding_header(deployment: Deployment) -> None:
    answer = deployment.post(gzip.compress(f"[{RECORD}]".encode()))

    assert answer.status == 200
    assert json.loads(answer.body)["records"] == [PATIENT]


@pytest.mark.usefixtures("deployment")
def test_api_gateway_hands_on_the_exact_bytes_of_every_document() -> None:
    (api,) = boto3.client("apigateway").get_rest_apis()["items"]

    assert api["binaryMediaTypes"] == ["*/*"]


def test_a_name_that_is_not_utf8_is_not_replaced(deployment: Deployment) -> None:
    answer = deployment.post(b'[{"patient_id":"P-1","patient_name":"\xff"}]')

    assert json.loads(answer.body)["rejected"] == [{"index": 0, "reason": "patient_name: not UTF-8"}]


def test_a_rejected_record_is_named_by_index_and_reason_and_not_echoed(deployment: Deployment) -> None:
    answer = deployment.post(f'[{RECORD},{{"patient_id":"CANARY","patient_name":7}}]'.encode())

    assert answer.status == 200
    assert json.loads(answer.body)["rejected"] == [{"index": 1, "reason": "patient_name: not a string"}]
    assert b"CANARY" not in answer.body


@pytest.mark.parametrize(
    ("document", "offset"),
    [(b"", 0), (b"[1,", 3), (b'{"patient_id":,}', 14)],
    ids=["empty", "cut", "wrong"],
)
def test_a_malformed_document_is_answered_with_reason_and_offset(
    deployment: Deployment, document: bytes, offset: int
) -> None:
    answer = deployment.post(document)

    assert answer.status == 400
    report = json.loads(answer.body)
    assert set(report) == {"reason", "offset"}
    assert report["offset"] == offset


def test_a_document_over_the_limit_is_answered_with_413(deployment: Deployment) -> None:
    answer = deployment.post(b"[" + b" " * MAX_DOCUMENT + b"]")

    assert answer.status == 413
    assert str(MAX_DOCUMENT) in json.loads(answer.body)["reason"]


def test_the_limit_holds_for_the_decompressed_size(deployment: Deployment) -> None:
    answer = deployment.post(gzip.compress(b" " * (MAX_DOCUMENT + 1)), Content_Encoding="gzip")

    assert answer.status == 413


def test_an_answer_just_below_the_limit_passes_lambda_and_api_gateway(deployment: Deployment) -> None:
    name = r"\"" * (MAX_ANSWER // 4 - 100)  # 2 bytes in the document, 4 in the answer, escaped twice

    answer = deployment.post(f'[{{"patient_id":"P-1","patient_name":"{name}"}}]'.encode())

    assert answer.status == 200
    assert json.loads(answer.body)["records"][0]["patient_name"] == json.loads(f'"{name}"')


def test_an_answer_over_the_limit_is_answered_with_413(deployment: Deployment) -> None:
    answer = deployment.post(b"[" + b"1," * 1_000_000 + b"1]")

    assert answer.status == 413
    assert "answer" in json.loads(answer.body)["reason"]


def test_another_content_type_is_answered_with_415_and_not_echoed(deployment: Deployment) -> None:
    answer = deployment.post(RECORD.encode(), Content_Type="text/CANARY")

    assert answer.status == 415
    assert set(json.loads(answer.body)) == {"reason"}
    assert b"CANARY" not in answer.body


def test_an_unsigned_request_is_answered_with_403(deployment: Deployment) -> None:
    assert deployment.post(RECORD.encode(), signed=False).status == 403
