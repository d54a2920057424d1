"""`pause` and `resume`: nothing is published for a while, and nothing is lost."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from infra.ops.aws import switch
from infra.ops.aws.place import Place, locate
from infra.ops.aws.switch import Position, Switch, SwitchError
from infra.ops.commands import pause
from tests.deployment import FUNCTION, Deployment, new_key
from tests.events import s3_event
from tests.operating import failing_at_once, ops

SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'


@pytest.fixture(scope="module")
def queue(deployment: Deployment) -> Iterator[str]:
    with failing_at_once(deployment) as url:
        yield url


@pytest.fixture
def place(deployment: Deployment) -> Iterator[Place]:
    """The stage, which publishes again afterwards."""
    assert deployment
    place = locate("local")
    yield place
    Switch(place).on(None)


@pytest.mark.usefixtures("place")
def test_what_is_uploaded_while_a_stage_is_paused_waits_and_is_published_after_resume_and_redrive(
    deployment: Deployment, queue: str
) -> None:
    key = new_key()

    paused = ops("pause")
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    body = waiting(queue)
    resumed = ops("resume")

    assert paused.code == 0
    assert "uploads meanwhile wait in the failure queue, for 14 days" in paused.printed
    assert json.loads(body)["requestContext"]["approximateInvokeCount"] == 0  # it was not even tried
    assert deployment.keys(deployment.processed, key) == []
    assert resumed.code == 0
    assert "waiting in the failure queue 1: next, make redrive STAGE=local" in resumed.printed
    assert ops("redrive").code == 0
    deployment.await_key(deployment.processed, key)


def waiting(queue: str) -> str:
    """Wait for a message, and leave it in the queue."""
    answer = boto3.client("sqs").receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=20)
    return answer["Messages"][0]["Body"]


@pytest.mark.usefixtures("place")
def test_a_paused_stage_still_answers_what_is_posted(deployment: Deployment) -> None:
    ops("pause")

    assert deployment.post(SCAN).status == 200
    assert "POST /process is another function: it still answers" in ops("pause").printed


def test_both_may_be_said_twice(place: Place) -> None:
    for command, at_once in (("pause", 0), ("pause", 0), ("resume", None), ("resume", None)):
        assert ops(command).code == 0
        assert Switch(place).position() == Position(at_once, {})


@contextmanager
def fed_by_a_queue(deployment: Deployment) -> Iterator[str]:
    """Have the function take uploads from a queue, too; yields the queue's URL."""
    sqs: Any = boto3.client("sqs")
    attributes = {"VisibilityTimeout": "900"}
    url = sqs.create_queue(QueueName=f"{FUNCTION}-uploads", Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    mapped = {"FunctionName": FUNCTION, "EventSourceArn": arn, "BatchSize": 1}
    mapping = deployment.functions.create_event_source_mapping(**mapped)["UUID"]
    try:
        yield url
    finally:
        deployment.functions.delete_event_source_mapping(UUID=mapping)
        sqs.delete_queue(QueueUrl=url)


def test_in_queue_mode_uploads_wait_in_their_queue_and_no_try_is_used_up(
    deployment: Deployment, place: Place
) -> None:
    key = f"{new_key()}.unannounced"  # but by the queue
    sqs: Any = boto3.client("sqs")

    with fed_by_a_queue(deployment) as url:
        paused = ops("pause")
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(s3_event((deployment.raw, key))))
        time.sleep(1)
        position = Switch(place).position()
        seen = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], VisibilityTimeout=0)["Messages"]
        ops("resume")
        deployment.await_key(deployment.processed, key)

    assert "uploads meanwhile wait in the queue of uploads, for 14 days" in paused.printed
    assert position.paused
    assert list(position.mappings.values()) == ["Disabled"]
    assert seen[0]["Attributes"]["ApproximateReceiveCount"] == "1"  # ours


def test_resume_allows_as_many_uploads_at_once_as_terraform_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How it says so, and that `deploy` sets the same, is in tests/test_account.py.
    monkeypatch.setattr(pause, "_reserved", lambda _stage: 50)
    ops("pause")

    assert "uploads at once 50" in ops("resume").printed
    assert Switch(place).position().at_once == 50


def test_a_mapping_that_never_changes_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # The stand-in changes one at once.
    monkeypatch.setattr(switch, "SWITCHES_WITHIN", 0)
    monkeypatch.setattr(switch, "POLL", 0)
    monkeypatch.setattr(Switch, "_mappings", lambda _self: {"uuid": "Updating"})

    with pytest.raises(SwitchError, match="uuid"):
        Switch(place).off()
    monkeypatch.undo()
    assert not Switch(place).position().paused
