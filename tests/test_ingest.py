"""The upload queue is not removed before it is empty. test_account.py has the whole switch."""

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from infra.ops.commands import ingest
from infra.ops.commands.ingest import (
    SETTLE_SECONDS,
    TIMEOUT,
    NotEmptyError,
    PausedError,
    await_empty,
    enter_queue,
    leave_queue,
)
from infra.ops.local.cloud import REGION
from tests.deployment import FUNCTION, Deployment


class Clock:
    """A clock whose time passes only in `sleep`."""

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
    """An SQS client with a queue that has these numbers of messages from these times on."""

    def asked(**_: Any) -> dict[str, Any]:
        left = [count for since, count in counts.items() if since <= clock.now][-1]
        return {"Attributes": {"waiting": str(left // 2), "at work": str(left - left // 2)}}

    return SimpleNamespace(get_queue_attributes=asked, exceptions=SimpleNamespace(QueueDoesNotExist=KeyError))


def test_a_queue_counts_as_empty_after_the_time_in_which_s3_may_still_send_to_it(clock: Clock) -> None:
    await_empty(emptying(clock, {0: 7, 500: 3, 1400: 0, 1450: 1, 1500: 0}), "queue")

    assert 1500 + SETTLE_SECONDS <= clock.now < 1510 + SETTLE_SECONDS


def test_a_queue_with_a_message_that_keeps_failing_is_an_error(clock: Clock) -> None:
    with pytest.raises(NotEmptyError, match=r"^1 uploads are still in the"):
        await_empty(emptying(clock, {0: 5, 100: 1}), "queue")

    assert clock.now > 100 + TIMEOUT


@pytest.mark.usefixtures("deployment")
def test_a_queue_that_no_longer_exists_counts_as_empty(clock: Clock) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="removed")["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)

    await_empty(sqs, url)

    assert clock.now >= SETTLE_SECONDS


def test_a_paused_stage_refuses_to_leave_its_queue(deployment: Deployment) -> None:
    stage: Any = SimpleNamespace(name="local", region=REGION, data_processor=FUNCTION, uses_queue=False)
    root: Any = SimpleNamespace(outputs=lambda: {"upload_queue_arn": "arn"})
    deployment.functions.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=0)
    try:
        with pytest.raises(PausedError, match=r"First run `make resume STAGE=local`"):
            leave_queue(stage, "state", root, lambda _: None)
    finally:
        deployment.functions.delete_function_concurrency(FunctionName=FUNCTION)


def test_deploy_waits_for_s3_only_if_s3_still_invokes_the_function(
    deployment: Deployment, clock: Clock
) -> None:
    stage: Any = SimpleNamespace(region=REGION, data_processor=FUNCTION)
    assert deployment

    enter_queue(stage, {"upload_queue_arn": "arn"}, lambda _: None)
    assert clock.now == SETTLE_SECONDS
    enter_queue(stage, {"upload_queue_arn": ""}, lambda _: None)
    assert clock.now == SETTLE_SECONDS
