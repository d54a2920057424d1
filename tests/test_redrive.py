"""What failed for good: waits in the failure queue, complete, and is put back by `redrive`."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from infra.ops.commands.redrive import Redriven, redrive
from infra.ops.local.cloud import REGION
from tests.deployment import FUNCTION, Deployment, new_key, without_permission

PATIENT = "Wilhelmina"
SCAN = f'[{{"patient_id":"{PATIENT}","patient_name":"{PATIENT}"}}]'.encode()


@pytest.fixture(scope="module")
def queue(deployment: Deployment) -> Iterator[str]:
    """The function's failure queue, as Terraform makes it for other stages."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=f"{FUNCTION}-failures")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    deployment.functions.put_function_event_invoke_config(
        FunctionName=FUNCTION,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    yield url
    deployment.functions.delete_function_event_invoke_config(FunctionName=FUNCTION)
    sqs.delete_queue(QueueUrl=url)


def test_what_failed_for_good_is_in_the_queue_whole_and_redrive_publishes_it(
    deployment: Deployment, queue: str
) -> None:
    key = f"{new_key()}-Canary.json"

    with without_permission("s3:PutObject"):
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        body = waiting(queue)
        assert redrive(FUNCTION, region=REGION, timeout=60) == Redriven(handled=0, failed=1)
    assert redrive(FUNCTION, region=REGION, timeout=60) == Redriven(handled=1, failed=0)

    assert PATIENT.encode() in deployment.get(deployment.processed, key)
    assert left(queue) == 0
    record = json.loads(body)
    assert PATIENT not in body
    assert "Canary" in json.dumps(record.pop("requestPayload"))
    assert "Canary" not in json.dumps(record)
    assert "AccessDenied" in record["responsePayload"]["errorMessage"]


def waiting(queue: str) -> str:
    """Wait for a message, and leave it in the queue."""
    (message,) = boto3.client("sqs").receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=20)[
        "Messages"
    ]
    return message["Body"]


def left(queue: str) -> int:
    """Count the messages in the queue, in sight or not."""
    answer = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
    counts = [value for name, value in answer["Attributes"].items() if name.startswith("ApproximateNumber")]
    return sum(map(int, counts))


class Slow:
    """A queue whose messages take so long, and all fail, that they come into sight again meanwhile."""

    def __init__(self, messages: int) -> None:
        self.hidden_until = dict.fromkeys(map(str, range(messages)), 0)
        self.tried: list[str] = []
        self.now = 0

    def get_queue_url(self, **_: str) -> dict[str, str]:
        return {"QueueUrl": "queue"}

    def receive_message(self, *, VisibilityTimeout: int, **_: object) -> dict[str, Any]:  # noqa: N803 - AWS's
        for name, until in self.hidden_until.items():
            if until <= self.now:
                self.hidden_until[name] = self.now + VisibilityTimeout
                body = json.dumps({"requestPayload": name})
                return {"Messages": [{"MessageId": name, "ReceiptHandle": name, "Body": body}]}
        return {}

    def change_message_visibility(self, *, ReceiptHandle: str, **_: object) -> None:  # noqa: N803 - AWS's
        self.hidden_until[ReceiptHandle] = self.now

    def invoke(self, *, Payload: bytes, **_: object) -> dict[str, str]:  # noqa: N803 - AWS's
        self.tried.append(json.loads(Payload))
        self.now += 500
        return {"FunctionError": "Unhandled"}


def test_what_fails_is_tried_once_however_long_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(messages=5)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: slow)

    assert redrive(FUNCTION, region=REGION, timeout=900) == Redriven(handled=0, failed=5)
    assert sorted(slow.tried) == ["0", "1", "2", "3", "4"]
    assert max(slow.hidden_until.values()) <= slow.now


def test_what_lambda_did_not_write_stays_and_stops_nothing(queue: str) -> None:
    sqs = boto3.client("sqs")
    for strange in ("no JSON", "[]", "{}"):
        sqs.send_message(QueueUrl=queue, MessageBody=strange)

    assert redrive(FUNCTION, region=REGION, timeout=60) == Redriven(handled=0, failed=3)

    assert left(queue) == 3
    sqs.purge_queue(QueueUrl=queue)
