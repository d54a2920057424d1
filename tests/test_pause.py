"""`pause` and `resume`: nothing is published meanwhile, and no upload is lost."""

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
    """The stage; it is resumed afterwards."""
    assert deployment
    place = locate("local")
    yield place
    Switch(place).on(None)


@pytest.mark.usefixtures("place")
def test_an_upload_during_a_pause_waits_and_is_published_after_resume_and_redrive(
    deployment: Deployment, queue: str
) -> None:
    key = new_key()

    paused = ops("pause")
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    body = waiting(queue)
    resumed = ops("resume")

    assert paused.code == 0
    assert "new uploads wait in the failure queue, for 14 days" in paused.printed
    assert json.loads(body)["requestContext"]["approximateInvokeCount"] == 0  # Lambda has not tried it
    assert deployment.keys(deployment.processed, key) == []
    assert resumed.code == 0
    assert "waiting in the failure queue 1: next, make redrive STAGE=local" in resumed.printed
    assert ops("redrive").code == 0
    deployment.await_key(deployment.processed, key)


def waiting(queue: str) -> str:
    """Return a message, and leave it in the queue; waits until there is one."""
    answer = boto3.client("sqs").receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=20)
    return answer["Messages"][0]["Body"]


@pytest.mark.usefixtures("place")
def test_a_paused_stage_still_answers_posts(deployment: Deployment) -> None:
    ops("pause")

    assert deployment.post(SCAN).status == 200
    assert "POST /process is another function: it still answers" in ops("pause").printed


def test_pause_and_resume_are_idempotent(place: Place) -> None:
    for command, at_once in (("pause", 0), ("pause", 0), ("resume", None), ("resume", None)):
        assert ops(command).code == 0
        assert Switch(place).position() == Position(at_once, {})


@contextmanager
def fed_by_a_queue(deployment: Deployment) -> Iterator[str]:
    """Connect the function to a queue; yields the queue's URL."""
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


def test_in_queue_mode_uploads_wait_in_their_queue_and_use_up_no_attempt(
    deployment: Deployment, place: Place
) -> None:
    key = f"{new_key()}.unannounced"  # S3 sends no event for it; the queue does
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

    assert "new uploads wait in the queue of uploads, for 14 days" in paused.printed
    assert position.paused
    assert list(position.mappings.values()) == ["Disabled"]
    assert seen[0]["Attributes"]["ApproximateReceiveCount"] == "1"  # by this test


def test_resume_sets_the_concurrency_of_terraform(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # tests/test_account.py has a real output of Terraform, and that `deploy` sets the same.
    monkeypatch.setattr(pause, "_reserved", lambda _stage: 50)
    ops("pause")

    assert "uploads at once 50" in ops("resume").printed
    assert Switch(place).position().at_once == 50


def test_a_mapping_that_does_not_change_in_time_is_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The local cloud changes a mapping at once.
    monkeypatch.setattr(switch, "SWITCHES_WITHIN", 0)
    monkeypatch.setattr(switch, "POLL_SECONDS", 0)
    monkeypatch.setattr(Switch, "_mappings", lambda _self: {"uuid": "Updating"})

    with pytest.raises(SwitchError, match="uuid"):
        Switch(place).off()
    monkeypatch.undo()
    assert not Switch(place).position().paused
