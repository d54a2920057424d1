"""`status` shows a stage on one screen, and ends with 3 if something is left to do."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from chalicelib.extraction import REVISION
from infra.ops.aws import inspection
from infra.ops.aws.failure_sample import SAMPLE_SIZE
from infra.ops.aws.place import Place, locate
from infra.ops.aws.switch import Switch
from infra.ops.commands.status import CHECKS, status
from tests.account import acting_as, allow
from tests.deployment import FUNCTION, Deployment, new_key, without_permission
from tests.operating import WIDTH, answering, await_failures, failing_at_once, left, ops

SCAN = b'[{"patient_id":"P-1","patient_name":"Wilhelmina"}]'
DENIED = "ObjectStoreError put_object: AccessDenied"


@pytest.fixture
def queue(deployment: Deployment) -> Iterator[str]:
    with failing_at_once(deployment) as url:
        yield url


@pytest.fixture
def place(deployment: Deployment, queue: str) -> Place:
    assert deployment
    boto3.client("sqs").purge_queue(QueueUrl=queue)
    return locate("local")


@pytest.mark.usefixtures("place")
def test_a_healthy_stage_ends_with_0_and_every_check_is_shown() -> None:
    done = ops("status", "--json")

    assert done.code == 0
    assert list(done.findings) == list(CHECKS)
    assert done.lines[-1] == {"summary": "The stage local", "todo": []}
    assert done.findings["failures"]["waiting"] == 0
    screen = ops("status")
    assert screen.code == 0
    for name in CHECKS:
        assert f" {name} " in screen.printed
    assert "Next:" not in screen.printed


@pytest.mark.usefixtures("place")
def test_a_ringing_alarm_is_shown_with_its_meaning() -> None:
    cloudwatch: Any = boto3.client("cloudwatch")
    name = "ikerian-data-pipeline-local.near-timeout"
    metric = {"Namespace": "AWS/Lambda", "MetricName": "Duration", "Statistic": "Maximum"}
    when = {
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    for one in (name, name.replace("local.", "local-two.")):
        cloudwatch.put_metric_alarm(AlarmName=one, AlarmDescription="Too slow.", **metric, **when)
        cloudwatch.set_alarm_state(AlarmName=one, StateValue="ALARM", StateReason="a test")
    try:
        done, screen = ops("status", "--json"), ops("status")
    finally:
        cloudwatch.delete_alarms(AlarmNames=[name, name.replace("local.", "local-two.")])

    assert done.code == 3
    assert done.findings["alarms"]["ringing"] == ["near-timeout"]  # and not the alarm of the other stage
    assert "near-timeout: Too slow." in screen.printed
    assert "see Runbook in infra/README.md" in screen.printed.partition("Next:")[2]


@pytest.mark.usefixtures("place")
def test_messages_in_the_failure_queue_are_counted_by_cause_and_stay_there(
    deployment: Deployment, queue: str
) -> None:
    keys = [f"{new_key()}-Canary.json" for _ in range(3)]
    with without_permission("s3:PutObject"):
        for key in keys:
            deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        await_failures(queue, 3)
    boto3.client("sqs").send_message(QueueUrl=queue, MessageBody="no JSON")

    done = ops("status", "--json")

    found = done.findings["failures"]
    assert done.code == 3
    assert found["todo"] == "make redrive STAGE=local"
    assert found["waiting"] == 4
    assert found["why"].pop(DENIED) == 3
    assert list(found["why"].values()) == [1]
    assert 0 <= found["oldest_seconds"] < 60
    again = ops("status")  # at once: the messages are visible again
    assert again.code == 3
    assert f"3: {DENIED}" in again.printed
    assert "make redrive STAGE=local" in again.printed.partition("Next:")[2]
    assert left(queue) == 4
    for printed in (done.printed, again.printed):
        assert "Canary" not in printed
        assert "Wilhelmina" not in printed


@pytest.mark.usefixtures("place")
def test_failures_are_all_counted_even_if_only_some_are_looked_at(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.ops.aws.failure_sample.SAMPLE_SIZE", 20)
    sqs = boto3.client("sqs")
    for _ in range(35):
        sqs.send_message(QueueUrl=queue, MessageBody="no JSON")

    found = ops("status", "--json").findings["failures"]

    assert found["waiting"] == 35
    assert sum(found["why"].values()) == 20
    assert SAMPLE_SIZE > 20
    assert "35 waiting, the oldest of 20 looked at for" in ops("status").printed


@pytest.mark.usefixtures("place")
def test_a_paused_stage_ends_with_3_and_its_revision_is_unknown() -> None:
    ops("pause")
    try:
        done = ops("status", "--json")
    finally:
        ops("resume")

    assert done.code == 3
    assert done.lines[-1]["todo"] == ["make resume STAGE=local"]
    assert done.findings["paused"]["paused"] is True
    assert done.findings["revision"]["unknown"] == "a paused function does not answer"


@pytest.mark.usefixtures("place")
def test_a_revision_that_differs_from_the_checkout_ends_with_3_and_the_same_one_with_0(
    deployment: Deployment,
) -> None:
    with answering(deployment, 'return {"revision": "1:0ld", "outcomes": []}'):
        other = ops("status", "--json")
    with answering(deployment, f"return {{'revision': {REVISION!r}, 'outcomes': []}}"):
        same = ops("status", "--json")

    assert other.code == 3
    assert other.lines[-1]["todo"] == ["make deploy STAGE=local"]
    assert other.findings["revision"]["deployed"] == "1:0ld"
    assert same.code == 0
    assert same.findings["revision"]["deployed"] == REVISION


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("code", ["raise ValueError", "return None", "return {'revision': 7}"])
def test_a_function_that_does_not_report_its_revision_does_not_count_as_outdated(
    deployment: Deployment, code: str
) -> None:
    with answering(deployment, code):
        done = ops("status", "--json")

    assert done.code == 0
    assert "does not say which revision" in done.findings["revision"]["unknown"]


def test_the_last_day_is_added_up_from_the_metrics_of_the_function(place: Place) -> None:
    cloudwatch: Any = boto3.client("cloudwatch")
    name = f"function-{uuid.uuid4()}"
    ours = {"ObjectsProcessed": 1203, "ObjectsUnchanged": 2, "ObjectsMalformed": 3, "ObjectsRefused": 1}
    counted = {
        "ikerian-data-pipeline": {**ours, "ObjectsFailed": 6, "RecordsRejected": 12},
        "AWS/Lambda": {"Errors": 4, "Throttles": 5},
    }
    for namespace, values in counted.items():
        dimension = "function_name" if namespace != "AWS/Lambda" else "FunctionName"
        about = [{"Name": dimension, "Value": name}]
        for metric, value in values.items():
            data = [{"MetricName": metric, "Dimensions": about, "Value": part} for part in (1, value - 1)]
            cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    durations = [
        {"MetricName": "Duration", "Dimensions": [{"Name": "function_name", "Value": name}], "Value": value}
        for value in (100, 200, 4000)
    ]
    cloudwatch.put_metric_data(Namespace="ikerian-data-pipeline", MetricData=durations)

    day = CHECKS["last day"](place._replace(function=name))

    assert day.lines[:2] == [
        "1,203 published, 2 unchanged, 2 malformed, 1 refused, 6 failed",
        "12 records rejected, 4 invocations failed, 5 throttled",
    ]
    assert day.lines[2].startswith("an upload took 200 ms (p50), ")
    assert day.facts["published"] == 1203


def test_a_day_without_uploads_has_zeros_and_a_day_without_metrics_is_unknown(place: Place) -> None:
    cloudwatch: Any = boto3.client("cloudwatch")
    name = f"function-{uuid.uuid4()}"

    idle = CHECKS["last day"](place._replace(function=name))
    ran = [{"MetricName": "Invocations", "Dimensions": [{"Name": "FunctionName", "Value": name}], "Value": 1}]
    cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=ran)
    busy = CHECKS["last day"](place._replace(function=name))

    assert idle.lines[0] == "0 published, 0 unchanged, 0 malformed, 0 refused, 0 failed"
    assert busy.lines[0].startswith("unknown: ")


def test_settings_are_read_from_the_stage(deployment: Deployment, place: Place) -> None:
    logs, groups = (
        boto3.client("logs"),
        (f"/aws/lambda/{FUNCTION}", "/aws/lambda/ikerian-data-pipeline-local"),
    )
    deployment.post(SCAN)
    for group in groups:
        logs.put_retention_policy(logGroupName=group, retentionInDays=14)
    bucket = f"encrypted-{uuid.uuid4()}"
    deployment.s3.create_bucket(Bucket=bucket)
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "a-key"}
    rules: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": key}]}
    deployment.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)

    elsewhere = place._replace(buckets=place.buckets._replace(raw=bucket))
    try:
        found = {one.name: one for one in status(elsewhere)}
    finally:
        for group in groups:
            logs.delete_retention_policy(logGroupName=group)

    assert found["logs"].lines == ["kept 14 days"]
    assert found["settings"].lines == ["1,024 MB, 900 s; no VPC", "encrypted by the KMS key a-key"]
    assert CHECKS["settings"](place).lines[1] == "encrypted by S3's own keys"
    assert CHECKS["paused"](place).lines == ["no; uploads come straight from S3, with no limit of their own"]


def test_a_concurrency_limit_is_shown(place: Place) -> None:
    Switch(place).on(7)
    try:
        assert CHECKS["paused"](place).lines == ["no; uploads come straight from S3, at most 7 at once"]
    finally:
        Switch(place).on(None)


@pytest.mark.usefixtures("place")
def test_without_permission_a_check_is_unknown_and_the_others_still_run() -> None:
    with acting_as(f"user-{uuid.uuid4()}", allow("lambda:GetFunctionConfiguration", "*")):
        boto3.setup_default_session()
        done = ops("status", "--json")
    boto3.setup_default_session()

    assert done.code == 1
    assert done.lines[-1]["error"].startswith("The state of the stage is unknown: alarms and failures")
    unreadable = {name for name, found in done.findings.items() if "unknown" in found}
    assert unreadable == set(CHECKS)
    assert all("Denied" in found["unknown"] for found in done.findings.values())


@pytest.mark.usefixtures("place")
def test_the_screen_is_80_columns_wide_and_has_no_colours_outside_a_terminal() -> None:
    printed = ops("status").printed

    assert all(len(line) <= WIDTH for line in printed.splitlines())
    assert "\x1b" not in printed


def test_an_unknown_stage_ends_with_1_and_an_unknown_option_with_2(
    deployment: Deployment,
) -> None:
    assert deployment
    for command in ("status", "pause", "resume"):
        assert ops(command, stage="nowhere").code == 1
        assert ops(command, "--wrong").code == 2
        failed = ops(command, "--json", stage="nowhere")
        assert "There is no stage nowhere" in json.dumps(failed.lines[-1]["error"])


def test_a_vpc_and_logged_keys_are_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # The local cloud has no VPC for functions.
    found = inspection.Settings(2048, 900, None, ["subnet-1"], object_keys_in_log=True)
    monkeypatch.setattr(inspection, "settings", lambda _place: found)

    assert CHECKS["settings"](place).lines == [
        "2,048 MB, 900 s; in a VPC",
        "encrypted by S3's own keys",
        "object keys are in the log",
    ]


@pytest.mark.usefixtures("place")
def test_failures_that_another_reader_has_received_are_counted(queue: str) -> None:
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody="{}")
    sqs.receive_message(QueueUrl=queue, VisibilityTimeout=60)

    done = ops("status")

    assert done.code == 3
    assert "1 waiting, none visible: another reader has received them" in done.printed
