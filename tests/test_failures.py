"""What is shown of the failure queue: known causes, and nothing that somebody uploaded."""

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


def failed(error: str | None, message: str) -> dict[str, Any]:
    """Make Lambda's record of a function that raised an error."""
    payload = {"errorMessage": message} | ({"errorType": error} if error else {})
    return record(responsePayload=payload)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (failed("UploadsFailedError", TWO), "ObjectStoreError put_object: AccessDenied, OutOfTimeError"),
        (failed("UploadsFailedError", "1 of 1 uploads: unreadable record"), "unreadable record"),
        (failed("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 900.00 seconds"), "timed out"),
        (failed(None, "2026-11-25T00:00:00Z 1 Task timed out after 900.00 seconds"), "timed out"),
        (failed("Runtime.OutOfMemory", f"about {CANARY}"), "Runtime.OutOfMemory"),
        (failed(f"An error about {CANARY}", CANARY), failures.UNKNOWN),
        (failed("KeyError", f"scans/0a1b2c3d4e5f6071 {CANARY}.json"), "KeyError"),
        (record("EventAgeExceeded"), "expired before Lambda could run it"),
        (record("ZeroReservedConcurrency"), "came while the stage was paused"),
        (record(), failures.UNKNOWN),
        (record(responsePayload=CANARY), failures.UNKNOWN),
        (record() | {"requestContext": [CANARY]}, failures.UNKNOWN),
        (EVENT, "given up by SQS"),
    ],
)
def test_a_cause_is_one_of_the_known_ones_and_quotes_nothing(body: Any, why: str) -> None:
    cause, _, names = failures.parse(json.dumps(body))

    assert cause == why
    assert [name[:2] for name in names] == [("raw", f"{CANARY}.json")]
    assert CANARY not in cause


@pytest.mark.parametrize("body", ["{", "{}", json.dumps(CANARY), "[" * 100_000, '{"a":' * 100_000, "NaN"])
def test_a_message_that_is_not_an_event_names_no_object_and_is_not_quoted(body: str) -> None:
    cause, _, names = failures.parse(body)

    assert not names
    assert CANARY not in cause
