"""Batches of the upload queue: only failed messages are delivered again, and they are counted."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import queues
from chalicelib.events import MAX_DEPTH, Arrival, arrivals
from chalicelib.invocations import UploadsFailedError, answer
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings
from tests.deployment import Deployment, new_key
from tests.events import TEST_EVENT, s3_event

QUEUE = "arn:aws:sqs:us-east-1:000000000000:uploads"
SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'

type Answers = Callable[..., Any]


def batch(*bodies: Any, queue: str = QUEUE) -> dict[str, Any]:
    """Make the event of these messages, whose ids are their numbers."""
    return {
        "Records": [
            {"messageId": f"{n}", "body": json.dumps(body), "eventSource": "aws:sqs", "eventSourceARN": queue}
            for n, body in enumerate(bodies)
        ]
    }


def failed(*messages: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"{n}"} for n in messages]}


@pytest.fixture
def answers(deployment: Deployment, faulty_store: ObjectStore) -> Answers:
    settings = Settings(*deployment.buckets, upload_queue=QUEUE)

    def ask(event: Any, **changes: Any) -> Any:
        return answer(event, faulty_store, replace(settings, **changes), lambda: 900_000)

    return ask


@pytest.fixture
def uploaded(deployment: Deployment) -> dict[str, Any]:
    """A notification of an object that is not published yet."""
    key = new_key() + ".unannounced"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    return s3_event((deployment.raw, key))


FOREIGN = s3_event(("foreign", "a.json"))


def test_an_event_that_does_not_come_from_the_queue_is_handled_as_well(
    answers: Answers, uploaded: dict[str, Any], captured: pytest.CaptureFixture[str]
) -> None:
    assert answers(uploaded) is None

    assert '"object_published"' in "".join(captured.readouterr())


def test_only_the_failed_messages_are_reported_and_counted(
    answers: Answers, uploaded: dict[str, Any], captured: pytest.CaptureFixture[str]
) -> None:
    assert answers(batch(uploaded, FOREIGN, TEST_EVENT, {"no": "event"})) == failed(1, 3)

    output = "".join(captured.readouterr())
    assert '"message":"messages_failed"' in output
    assert '"messages":2' in output
    assert '"object_published"' in output


def test_a_batch_without_failures_reports_no_message(
    answers: Answers, uploaded: dict[str, Any], captured: pytest.CaptureFixture[str]
) -> None:
    assert answers(batch(uploaded, uploaded, TEST_EVENT)) == failed()

    assert "messages_failed" not in "".join(captured.readouterr())


def test_a_message_fails_with_every_message_about_the_same_key(
    answers: Answers, uploaded: dict[str, Any]
) -> None:
    both = {"Records": [*FOREIGN["Records"], *uploaded["Records"]]}

    assert answers(batch(FOREIGN, uploaded, both)) == failed(0, 2)


@pytest.mark.parametrize("bodies", [[FOREIGN], [7], [FOREIGN, 7]])
def test_if_every_message_fails_the_invocation_fails(answers: Answers, bodies: list[Any]) -> None:
    with pytest.raises(UploadsFailedError, match=f"^{len(bodies)} of {len(bodies)} uploads: "):
        answers(batch(*bodies))


@pytest.mark.parametrize(
    ("event", "ours"),
    [(batch(TEST_EVENT, FOREIGN, queue=f"{QUEUE}-of-others"), QUEUE), (batch(TEST_EVENT, FOREIGN), "")],
    ids=["another queue", "direct mode"],
)
def test_a_batch_of_another_queue_fails_as_a_whole_so_that_lambda_deletes_no_failed_message(
    answers: Answers, event: dict[str, Any], ours: str
) -> None:
    with pytest.raises(UploadsFailedError):
        answers(event, upload_queue=ours)
    assert answers(batch(TEST_EVENT, queue="another"), upload_queue=ours) is None


@pytest.mark.parametrize(
    "event", [None, {}, {"Records": 7}, {"Records": []}, {"Records": [{"messageId": "1"}]}]
)
def test_anything_but_a_batch_fails(answers: Answers, event: Any) -> None:
    with pytest.raises(UploadsFailedError, match="unreadable record"):
        answers(event)


def test_a_message_that_is_nested_too_deeply_only_within_its_batch_is_reported_as_failed() -> None:
    inner = s3_event(("raw", "a.json"))
    failure = {"requestContext": {"functionArn": "arn", "condition": "RetriesExhausted"}}
    for _ in range(MAX_DEPTH - 2):
        inner = failure | {"requestPayload": inner}
    event = batch(inner)

    assert arrivals(inner) == [Arrival("raw", "a.json")]
    assert arrivals(event) == [None]
    assert queues.failed_messages(event, frozenset([None])) == ["0"]


def test_without_a_queue_no_event_is_a_batch() -> None:
    assert not queues.is_batch(batch(FOREIGN, queue=""), "")
