"""The runbook's exercise: a permission is removed and restored, and no upload is lost."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.deployment import Deployment, new_key, without_permission
from tests.operating import await_failures, failing_at_once, left, ops

SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'
UPLOADS = 5
ALARM = "ikerian-data-pipeline-local.failed-uploads"


@pytest.fixture
def queue(deployment: Deployment) -> Iterator[str]:
    with failing_at_once(deployment) as url:
        yield url


@pytest.fixture
def alarm(queue: str) -> Iterator[Any]:
    """The alarm of failed uploads, as Terraform creates it for other stages.

    The local cloud has no metrics of queues, so the test sets the alarm's state, as CloudWatch would.
    """
    assert queue
    cloudwatch: Any = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=ALARM,
        AlarmDescription="Uploads wait.",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Statistic="Maximum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    yield cloudwatch
    cloudwatch.delete_alarms(AlarmNames=[ALARM])


def test_after_a_missing_permission_is_restored_and_redriven_everything_is_published(
    deployment: Deployment, queue: str, alarm: Any
) -> None:
    keys = [f"game-day/{new_key()}" for _ in range(UPLOADS)]
    assert ops("status").code == 0

    with without_permission("s3:PutObject"):
        for key in keys:
            deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        await_failures(queue, UPLOADS)
        alarm.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="a game day")
        red = ops("status")

    assert red.code == 3
    assert "failed-uploads: Uploads wait." in red.printed
    assert f"{UPLOADS} waiting" in red.printed
    assert f"{UPLOADS}: ObjectStoreError put_object: AccessDenied" in red.printed
    assert "make redrive STAGE=local" in red.printed.partition("Next:")[2]

    assert ops("redrive").code == 0
    for key in keys:
        deployment.await_key(deployment.processed, key)
    alarm.set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="nothing waits")

    assert left(queue) == 0
    assert ops("status").code == 0
    assert ops("reconcile", "--prefix", "game-day/", "--thorough").code == 0
    for key in keys:
        assert ops("status", key).code == 0
