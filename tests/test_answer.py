import json
from typing import Any

import pytest
from chalice.test import Client

from app import app
from chalicelib.answer import MAX_ANSWER, MAX_DOCUMENT, Answer, TooLargeError, bounded
from tests.deployment import structured


def test_a_document_may_have_the_maximum_size_and_no_byte_more() -> None:
    whole = [b"x" * (MAX_DOCUMENT - 1), b"x"]

    assert list(bounded(whole)) == whole
    with pytest.raises(TooLargeError, match=str(MAX_DOCUMENT)):
        list(bounded([*whole, b"x"]))


def test_the_body_has_records_reasons_and_counts() -> None:
    answer = Answer()
    answer.write_processed(b'[\n{"patient_id":"1","patient_name":"A"}\n]\n')
    answer.write_rejected(b'{"index":1,"reason":"record: not an obj')
    answer.write_rejected(b'ect","record":7}\n')

    assert json.loads(answer.body(extracted=1, rejected=1)) == {
        "records": [{"patient_id": "1", "patient_name": "A"}],
        "rejected": [{"index": 1, "reason": "record: not an object"}],
        "counts": {"extracted": 1, "rejected": 1},
    }


def test_a_rejected_record_that_parsers_refuse_is_answered_as_well() -> None:
    answer = Answer()
    answer.write_processed(b"[]\n")
    answer.write_rejected(b'{"index":0,"reason":"patient_name: missing","record":{"patient_id":"\\ud800"}}\n')
    answer.write_rejected(
        b'{"index":1,"reason":"patient_id: missing","record":' + b"[" * 3000 + b"]" * 3000 + b"}\n"
    )

    body = json.loads(answer.body(extracted=0, rejected=2))

    assert [one["index"] for one in body["rejected"]] == [0, 1]


def test_collecting_stops_at_the_limit() -> None:
    with pytest.raises(TooLargeError, match=str(MAX_ANSWER)):
        Answer().write_processed(b"x" * (MAX_ANSWER + 1))
    with pytest.raises(TooLargeError, match=str(MAX_ANSWER)):
        Answer().write_rejected(b"x" * (MAX_ANSWER + MAX_DOCUMENT + 1))


def test_the_size_of_the_answer_includes_the_escapes_of_lambda() -> None:
    answer = Answer()
    quotes = '\\"' * (MAX_ANSWER // 4)  # half of the limit, twice that when escaped again
    answer.write_processed(f'["{quotes}"]'.encode())

    with pytest.raises(TooLargeError, match=str(MAX_ANSWER)):
        answer.body(extracted=1, rejected=0)


@pytest.mark.filterwarnings("ignore:IAMAuthorizer is not a supported in local mode")  # the words of Chalice
@pytest.mark.parametrize(
    ("document", "content_type", "logged"),
    [
        (
            b'[{"patient_id":"1","patient_name":"A"},{"patient_id":"2","patient_name":"B"},1]',
            "application/json",
            {"status": 200, "extracted": 2, "rejected": 1, "bytes_read": 79},
        ),
        (b"[", "application/json", {"status": 400, "extracted": 0, "rejected": 0, "bytes_read": 0}),
        (b" " * (MAX_DOCUMENT + 1), "application/json", {"status": 413}),
        (b"[]", "text/plain", {"status": 415}),
    ],
    ids=["200", "400", "413", "415"],
)
def test_every_answer_is_logged_once_with_its_status_and_counts(
    captured: pytest.CaptureFixture[str], document: bytes, content_type: str, logged: dict[str, Any]
) -> None:
    with Client(app, stage_name="local") as client:
        answer = client.http.post("/process", headers={"Content-Type": content_type}, body=document)

    (event,) = structured(captured.readouterr().out.splitlines())
    assert answer.status_code == logged["status"]
    assert {"message": "document_answered", **logged}.items() <= event.items()


def test_an_answer_is_collected_from_pieces_up_to_the_limit() -> None:
    answer = Answer()
    answer.write_processed(b"[]")
    answer.write_processed(b" " * (MAX_ANSWER - 2))
    answer.write_rejected(b"x" * (MAX_ANSWER + MAX_DOCUMENT))

    with pytest.raises(TooLargeError):
        answer.write_processed(b" ")
    with pytest.raises(TooLargeError):
        answer.write_rejected(b"x")


def test_no_part_of_a_rejected_record_is_answered() -> None:
    answer = Answer()
    answer.write_processed(b"[]\n")
    answer.write_rejected(b'{"index":0,"reason":"patient_id: missing","record":{"x":"Canary","record":1}}\n')

    assert "Canary" not in answer.body(extracted=0, rejected=1)
