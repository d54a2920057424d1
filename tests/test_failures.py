"""What is shown of the failure queue: causes in our own words, and nothing that somebody uploaded."""

import json
from typing import Any

import pytest

from infra.ops.aws import failures
from tests.events import s3_event

CANARY = "Wilhelmina"
EVENT = s3_event(("raw", f"{CANARY}.json"))
TWO = (
    "2 of 3 uploads: 0a1b2c3d4e5f6071 ObjectStoreError put_object: AccessDenied; "
    "0a1b2c3d4e5f6072 OutOfTimeError after 1234 bytes"
)


def record(condition: str = "RetriesExhausted", **response: Any) -> dict[str, Any]:
    """Make Lambda's record of a failure."""
    about = {"functionArn": "arn", "condition": condition}
    return {"requestContext": about, "requestPayload": EVENT, **response}


def failed(error: str | None, words: str) -> dict[str, Any]:
    """Make one of a function that raised an error."""
    payload = {"errorMessage": words} | ({"errorType": error} if error else {})
    return record(responsePayload=payload)


def deep(text: str) -> str:
    return "[" * 100_000 + text


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (failed("UploadsFailedError", TWO), "ObjectStoreError put_object: AccessDenied; OutOfTimeError"),
        (failed("UploadsFailedError", "1 of 1 uploads: unreadable record"), "unreadable record"),
        (failed("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 900.00 seconds"), "timed out"),
        (failed(None, "2026-11-25T00:00:00Z 1 Task timed out after 900.00 seconds"), "timed out"),
        (failed("Runtime.OutOfMemory", f"about {CANARY}"), "Runtime.OutOfMemory"),
        (failed(f"An error about {CANARY}", CANARY), failures.FAILED),
        (failed("UploadsFailedError", CANARY), "UploadsFailedError"),
        (record("EventAgeExceeded"), "waited too long for its turn"),
        (record("ZeroReservedConcurrency"), "came while the stage was paused"),
        (record(), failures.FAILED),
        (record(responsePayload=CANARY), failures.FAILED),
        (EVENT, failures.GIVEN_UP),
        ({"detail": {}}, failures.GIVEN_UP),
        ({"Records": []}, failures.NOT_UNDERSTOOD),
        ({}, failures.NOT_UNDERSTOOD),
        (CANARY, failures.NOT_UNDERSTOOD),
        (float("nan"), failures.NOT_UNDERSTOOD),
    ],
)
def test_a_cause_is_told_in_our_words_or_not_at_all(body: Any, why: str) -> None:
    found = failures.failure({"Attributes": {"SentTimestamp": "1500"}, "Body": json.dumps(body)})

    assert found.why == why
    assert found.since == 1.5
    assert CANARY not in found.why


@pytest.mark.parametrize("body", ["no JSON", "", deep("1"), deep('{"a":'), '{"a":'])
def test_what_is_no_json_is_told_so(body: str) -> None:
    found = failures.failure({"Attributes": {"SentTimestamp": "0"}, "Body": body})

    assert found == failures.Failure(failures.NOT_UNDERSTOOD, 0, frozenset())


@pytest.mark.parametrize("body", [record(), EVENT, {"Records": [{"eventSource": "aws:sqs", "body": "{"}]}])
def test_the_objects_that_an_event_names_are_found(body: Any) -> None:
    found = failures.failure({"Attributes": {"SentTimestamp": "0"}, "Body": json.dumps(body)})

    named = {("raw", f"{CANARY}.json")}
    assert found.objects == (set() if "sqs" in json.dumps(body) else named)
