"""Batches of messages: what failed comes again, what did not does not, and an alarm hears of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import queues
from chalicelib.events import MAX_DEPTH, arrivals
from chalicelib.invocations import UploadsFailedError, answer
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings
from tests.deployment import Deployment, new_key
from tests.events import TEST_EVENT, s3_event

QUEUE = "arn:aws:sqs:us-east-1:000000000000:uploads"
SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'

type Answers = Callable[..., Any]


def batch(*bodies: Any, queue: str = QUEUE) -> dict[str, Any]:
    """The event of messages, named by their numbers."""
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
    """A notification of an object that nothing has published yet."""
    key = new_key() + ".unannounced"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    return s3_event((deployment.raw, key))


FOREIGN = s3_event(("foreign", "a.json"))


def test_only_what_failed_is_told_and_an_alarm_hears_of_it(
    answers: Answers, uploaded: dict[str, Any], said: pytest.CaptureFixture[str]
) -> None:
    assert answers(batch(uploaded, FOREIGN, TEST_EVENT, {"no": "event"})) == failed(1, 3)

    output = "".join(said.readouterr())
    assert '"message":"messages_failed"' in output
    assert '"messages":2' in output
    assert '"object_published"' in output


def test_what_all_went_well_tells_of_nothing(
    answers: Answers, uploaded: dict[str, Any], said: pytest.CaptureFixture[str]
) -> None:
    assert answers(batch(uploaded, uploaded, TEST_EVENT)) == failed()

    assert "messages_failed" not in "".join(said.readouterr())


def test_a_message_fails_with_every_message_about_the_same_key(
    answers: Answers, uploaded: dict[str, Any]
) -> None:
    both = {"Records": [*FOREIGN["Records"], *uploaded["Records"]]}

    assert answers(batch(FOREIGN, uploaded, both)) == failed(0, 2)


@pytest.mark.parametrize("bodies", [[FOREIGN], [7], [FOREIGN, 7]])
def test_where_nothing_went_well_the_invocation_fails_which_lambda_counts(
    answers: Answers, bodies: list[Any]
) -> None:
    with pytest.raises(UploadsFailedError, match=f"^{len(bodies)} of {len(bodies)} uploads: "):
        answers(batch(*bodies))


@pytest.mark.parametrize(
    ("event", "ours"),
    [(batch(TEST_EVENT, FOREIGN, queue=f"{QUEUE}-of-others"), QUEUE), (batch(TEST_EVENT, FOREIGN), "")],
    ids=["another queue", "direct mode"],
)
def test_a_batch_of_a_queue_that_is_not_ours_fails_as_a_whole_lest_lambda_deletes_what_failed(
    answers: Answers, event: dict[str, Any], ours: str
) -> None:
    with pytest.raises(UploadsFailedError):
        answers(event, upload_queue=ours)
    assert answers(batch(TEST_EVENT, queue="another"), upload_queue=ours) is None


@pytest.mark.parametrize(
    "event", [None, {}, {"Records": 7}, {"Records": []}, {"Records": [{"messageId": "1"}]}]
)
def test_what_is_no_batch_fails_as_ever(answers: Answers, event: Any) -> None:
    with pytest.raises(UploadsFailedError, match="unreadable record"):
        answers(event)


def test_a_message_that_only_a_batch_finds_too_deep_is_told_as_failed_and_not_deleted() -> None:
    inside = s3_event(("raw", "a.json"))
    for _ in range(MAX_DEPTH - 2):
        inside = {"requestContext": {"functionArn": "arn"}, "requestPayload": inside}
    event = batch(inside)

    assert arrivals(event) == [None]
    assert queues.failed_messages(event, frozenset([None])) == ["0"]


def test_without_a_queue_no_event_is_a_batch() -> None:
    assert not queues.is_batch(batch(FOREIGN, queue=""), "")
