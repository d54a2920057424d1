"""Back from the upload queue: it is not removed before it is empty. test_account.py does the whole change."""

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from infra.ops.commands import ingest
from infra.ops.commands.ingest import (
    PATIENCE,
    SETTLES,
    NotEmptyError,
    PausedError,
    await_empty,
    enter_queue,
    leave_queue,
)
from infra.ops.local.cloud import REGION
from tests.deployment import FUNCTION, Deployment


class Clock:
    """Seconds that pass when somebody sleeps, and only then."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ingest, "time", clock)
    return clock


def emptying(clock: Clock, counts: dict[float, int]) -> Any:
    """A queue that holds so many messages from these times on, half of them at work."""

    def asked(**_: Any) -> dict[str, Any]:
        left = [count for since, count in counts.items() if since <= clock.now][-1]
        return {"Attributes": {"waiting": str(left // 2), "at work": str(left - left // 2)}}

    return SimpleNamespace(get_queue_attributes=asked, exceptions=SimpleNamespace(QueueDoesNotExist=KeyError))


def test_a_queue_is_empty_when_it_has_been_so_for_as_long_as_s3_may_still_tell_it(clock: Clock) -> None:
    await_empty(emptying(clock, {0: 7, 500: 3, 1400: 0, 1450: 1, 1500: 0}), "queue")

    assert 1500 + SETTLES <= clock.now < 1510 + SETTLES


def test_a_queue_in_which_something_fails_is_told_and_not_given_up(clock: Clock) -> None:
    with pytest.raises(NotEmptyError, match=r"^1 uploads are still in the"):
        await_empty(emptying(clock, {0: 5, 100: 1}), "queue")

    assert clock.now > 100 + PATIENCE


@pytest.mark.usefixtures("deployment")
def test_a_queue_that_is_gone_was_empty(clock: Clock) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="removed")["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)

    await_empty(sqs, url)

    assert clock.now >= SETTLES


def test_a_paused_stage_does_not_leave_its_queue(deployment: Deployment) -> None:
    stage: Any = SimpleNamespace(name="local", region=REGION, data_processor=FUNCTION, by_queue=False)
    root: Any = SimpleNamespace(outputs=lambda: {"upload_queue_arn": "arn"})
    deployment.functions.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=0)
    try:
        with pytest.raises(PausedError, match=r"First `make resume STAGE=local`"):
            leave_queue(stage, "state", root, lambda _: None)
    finally:
        deployment.functions.delete_function_concurrency(FunctionName=FUNCTION)


def test_s3_is_waited_for_as_long_as_the_function_is_one_that_it_invokes(
    deployment: Deployment, clock: Clock
) -> None:
    stage: Any = SimpleNamespace(region=REGION, data_processor=FUNCTION)
    assert deployment

    enter_queue(stage, {"upload_queue_arn": "arn"}, lambda _: None)
    assert clock.now == SETTLES
    enter_queue(stage, {"upload_queue_arn": ""}, lambda _: None)
    assert clock.now == SETTLES
