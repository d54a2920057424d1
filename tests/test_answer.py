import json

import pytest

from chalicelib.answer import MAX_ANSWER, MAX_DOCUMENT, Answer, TooLargeError, bounded


def test_a_document_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    whole = [b"x" * (MAX_DOCUMENT - 1), b"x"]

    assert list(bounded(whole)) == whole
    with pytest.raises(TooLargeError, match=str(MAX_DOCUMENT)):
        list(bounded([*whole, b"x"]))


def test_the_body_holds_records_reasons_and_counts() -> None:
    answer = Answer()
    answer.write_processed(b'[\n{"patient_id":"1","patient_name":"A"}\n]\n')
    answer.write_rejected(b'{"index":1,"reason":"record: not an obj')
    answer.write_rejected(b'ect","record":7}\n')

    assert json.loads(answer.body(extracted=1, rejected=1)) == {
        "records": [{"patient_id": "1", "patient_name": "A"}],
        "rejected": [{"index": 1, "reason": "record: not an object"}],
        "counts": {"extracted": 1, "rejected": 1},
    }


def test_a_rejected_record_that_no_parser_takes_is_named_all_the_same() -> None:
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


def test_what_lambda_escapes_counts_as_it_travels() -> None:
    answer = Answer()
    quotes = '\\"' * (MAX_ANSWER // 4)  # half of the limit, twice that when escaped again
    answer.write_processed(f'["{quotes}"]'.encode())

    with pytest.raises(TooLargeError, match=str(MAX_ANSWER)):
        answer.body(extracted=1, rejected=0)


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
