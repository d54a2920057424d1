"""Events that failed for good wait in the failure queue, complete, and `redrive` retries them."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.client import BaseClient
from click.testing import CliRunner

from infra.ops.__main__ import ops
from infra.ops.aws import failures
from infra.ops.aws.failures import FailureQueue
from infra.ops.aws.place import Place, locate
from infra.ops.commands.redrive import Redriven, redrive, waiting_by_cause
from infra.ops.local import stage as local_stage
from infra.ops.screen.progress import console
from tests.deployment import FUNCTION, Deployment, new_key, without_permission
from tests.events import TEST_EVENT, s3_event

PATIENT = "Wilhelmina"
SCAN = f'[{{"patient_id":"{PATIENT}","patient_name":"{PATIENT}"}}]'.encode()
STRANGE = {
    "no JSON": "not JSON that Lambda accepts",
    "[" * 100_000: "not JSON that Lambda accepts",
    '{"requestPayload":' + "[" * 100_000: "not JSON that Lambda accepts",
    "NaN": "not JSON that Lambda accepts",
    '{"requestPayload":{"Records":[NaN]}}': "not JSON that Lambda accepts",
    '{"requestPayload":1e999}': "not JSON that Lambda accepts",
    '"\\ud800"': "not JSON that Lambda accepts",
    "9" * 5000: "not JSON that Lambda accepts",
    "[]": "names no object",
    "{}": "names no object",
    "7": "names no object",
    '{"requestContext":{"functionArn":"arn"}}': "names no object",
    '{"requestPayload":null}': "names no object",
    json.dumps(TEST_EVENT): "names no object",
}


@pytest.fixture(scope="module")
def place(deployment: Deployment) -> Iterator[Place]:
    """The stage, with Lambda's own retries switched off."""
    local_stage.add_failure_queue()
    before = deployment.functions.get_function_event_invoke_config(FunctionName=FUNCTION)
    deployment.functions.put_function_event_invoke_config(
        FunctionName=FUNCTION, MaximumRetryAttempts=0, DestinationConfig=before["DestinationConfig"]
    )
    yield locate("local")
    local_stage.add_failure_queue()


class Queue:
    """The stage's failure queue."""

    def __init__(self, place: Place) -> None:
        self.sqs: Any = boto3.client("sqs")
        self.url = self.sqs.get_queue_url(QueueName=place.failure_queue)["QueueUrl"]

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def first(self) -> str:
        """Return a message, and leave it in the queue; waits until there is one."""
        answer = self.sqs.receive_message(QueueUrl=self.url, VisibilityTimeout=0, WaitTimeSeconds=20)
        return str(answer["Messages"][0]["Body"])

    def counts(self, *, hidden: bool = True) -> int:
        """Count the messages, with or without those that are invisible."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"][: 1 + hidden]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(map(int, found.values()))


@pytest.fixture
def queue(place: Place) -> Iterator[Queue]:
    queue = Queue(place)
    queue.sqs.purge_queue(QueueUrl=queue.url)
    yield queue
    queue.sqs.purge_queue(QueueUrl=queue.url)


def unpublished(deployment: Deployment) -> str:
    """Upload an object without an event; returns its key."""
    key = f"{new_key()}.unannounced"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    return key


def event(deployment: Deployment, key: str) -> str:
    """Return what SQS sends to the failure queue: the event itself."""
    return json.dumps(s3_event((deployment.raw, key)))


def record(deployment: Deployment, key: str) -> str:
    """Return what Lambda sends to the failure queue."""
    said = {"errorMessage": "1 of 1 uploads: 0123456789abcdef ObjectStoreError put_object: AccessDenied"}
    request = {"functionArn": "arn", "condition": "RetriesExhausted"}
    failed = s3_event((deployment.raw, key))
    return json.dumps({"requestContext": request, "requestPayload": failed, "responsePayload": said})


def redriven(place: Place, limit: int | None = None) -> Redriven:
    return redrive(place, lambda *_: None, limit=limit)


def test_an_event_that_failed_is_in_the_queue_complete_and_redrive_publishes_it(
    deployment: Deployment, place: Place, queue: Queue
) -> None:
    key = f"{new_key()}-Canary.json"

    with without_permission("s3:PutObject"):
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        body = queue.first()
        assert redriven(place).accepted == 1
        again = queue.first()  # it failed again, and is back
    assert redriven(place) == Redriven(accepted=1, set_aside=[], came_meanwhile=0, more=False)

    deployment.await_key(deployment.processed, key)
    assert PATIENT.encode() in deployment.get(deployment.processed, key)
    assert queue.counts() == 0
    for text in (body, again):
        record = json.loads(text)
        assert PATIENT not in text
        assert "Canary" in json.dumps(record.pop("requestPayload"))
        assert "Canary" not in json.dumps(record)
        assert "AccessDenied" in record["responsePayload"]["errorMessage"]


def odd_record(deployment: Deployment, key: str) -> str:
    """Return such a record with fields of unexpected types."""
    odd = {"requestContext": 7, "responsePayload": ["0123456789abcdef Wilhelmina"]}
    return json.dumps(json.loads(record(deployment, key)) | odd)


@pytest.mark.parametrize("form", [event, record, odd_record])
def test_messages_of_sqs_and_of_lambda_are_both_understood(
    deployment: Deployment, place: Place, queue: Queue, form: Any
) -> None:
    key = unpublished(deployment)
    queue.send(form(deployment, key))

    assert redriven(place) == Redriven(accepted=1, set_aside=[], came_meanwhile=0, more=False)

    deployment.await_key(deployment.processed, key)
    assert queue.counts() == 0


def test_no_message_stops_the_redrive(deployment: Deployment, place: Place, queue: Queue) -> None:
    key = unpublished(deployment)
    for body in (*STRANGE, event(deployment, key)):
        queue.send(body)

    accepted, set_aside, came_meanwhile, more = redriven(place)

    assert (accepted, came_meanwhile, more) == (1, 0, False)
    assert sorted(message.cause for message in set_aside) == sorted(STRANGE.values())
    assert queue.counts(hidden=False) == len(STRANGE)  # visible again at once
    deployment.await_key(deployment.processed, key)


def test_an_event_that_is_too_large_for_lambda_is_set_aside(
    deployment: Deployment, place: Place, queue: Queue
) -> None:
    growing = f',"more":[{",".join(["1e15"] * 180_000)}]}}'
    queue.send(event(deployment, "key.json").removesuffix("}") + growing)

    _, (message,), _, _ = redriven(place)

    assert message.cause == "RequestEntityTooLargeException"


def test_messages_that_come_meanwhile_stay_in_the_queue_so_that_the_redrive_ends(
    deployment: Deployment, place: Place, queue: Queue
) -> None:
    queue.send(event(deployment, "before.json"))
    time.sleep(0.01)

    with FailureQueue(place) as messages:
        queue.send(event(deployment, "failed-again.json"))
        batches = list(messages.batches())

    assert [{one.key for one in message.names} for batch in batches for message in batch] == [{"before.json"}]
    assert len(messages.later) == 1
    assert queue.counts(hidden=False) == 2


def test_no_more_events_are_sent_than_the_limit(deployment: Deployment, place: Place, queue: Queue) -> None:
    for body in ("no JSON", *[event(deployment, "absent.json")] * 3):
        queue.send(body)

    accepted, set_aside, _, more = redriven(place, limit=2)

    assert (accepted, len(set_aside), more) == (2, 1, True)
    assert queue.counts(hidden=False) == 2


def test_two_redrives_at_once_are_harmless(deployment: Deployment, place: Place, queue: Queue) -> None:
    keys = [unpublished(deployment) for _ in range(4)]
    for key in keys:
        queue.send(event(deployment, key))

    with ThreadPoolExecutor() as pool:
        both = list(pool.map(redriven, [place, place]))

    assert sum(one.accepted for one in both) == len(keys)
    assert queue.counts() == 0
    for key in keys:
        deployment.await_key(deployment.processed, key)


LATE = "expired before Lambda could run it"


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        ({"responsePayload": {"errorMessage": "1 of 2 uploads: unreadable record"}}, "unreadable record"),
        ({"responsePayload": {"errorType": "Sandbox.Timedout", "errorMessage": PATIENT}}, "Sandbox.Timedout"),
        ({"responsePayload": {"errorType": f"the patient {PATIENT}"}}, failures.UNKNOWN),
        ({"responsePayload": {"errorMessage": f"0123456789abcdef {PATIENT}"}}, failures.UNKNOWN),
        ({"responsePayload": None, "requestContext": {"condition": "EventAgeExceeded"}}, LATE),
    ],
)
def test_the_cause_of_a_failure_is_shown_by_names_of_errors_only(
    deployment: Deployment, place: Place, queue: Queue, failure: dict[str, Any], cause: str
) -> None:
    queue.send(json.dumps({"requestPayload": s3_event((deployment.raw, "key.json")), **failure}))
    time.sleep(0.01)

    ((shown, times),) = waiting_by_cause(place)

    assert (shown, len(times)) == (cause, 1)


class Killed(BaseException):
    """Stops everything, including clean-up: what a SIGKILL does."""


def killed_at(step: int, *, done: bool) -> Any:
    """Raise Killed at the request to AWS with this number, before it is sent or after it is done."""
    steps = count()
    ask = BaseClient._make_api_call  # type: ignore[attr-defined] # noqa: SLF001 - every request passes here

    def asked(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        number = next(steps)
        if number < step or (number == step and done):
            answer = ask(client, operation, parameters)
            if number < step:
                return answer
        raise Killed

    return patch.object(BaseClient, "_make_api_call", asked)


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
def test_killed_at_any_request_it_loses_nothing_and_hides_nothing_for_longer_than_a_minute(
    deployment: Deployment,
    place: Place,
    queue: Queue,
    *,
    done: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert failures.VISIBILITY_TIMEOUT <= 60
    monkeypatch.setattr(failures, "VISIBILITY_TIMEOUT", 1)
    keys = []
    for step in range(6):  # queue URL, its length, receive, invoke, delete, receive
        keys.append(unpublished(deployment))
        queue.send(event(deployment, keys[-1]))
        with killed_at(step, done=done), pytest.raises(Killed):
            redriven(place)
    time.sleep(1.1)

    redriven(place)

    assert queue.counts() == 0
    for key in keys:
        deployment.await_key(deployment.processed, key)


def test_the_command_prints_its_result_and_ends_with_3_if_anything_is_left(
    deployment: Deployment, queue: Queue
) -> None:
    key = unpublished(deployment)
    queue.send(record(deployment, key))
    queue.send("{}")

    waits, shown = command("--dry-run")
    ended, printed = command("--json")

    assert (waits, ended) == (3, 3)
    assert "put_object: AccessDenied" in shown
    assert "names no object" in shown
    assert "2 messages shown; nothing was sent.\n" in shown
    assert key not in shown + printed
    *_, set_aside, last = map(json.loads, printed.splitlines())
    assert set_aside["set_aside"] == "names no object"
    assert last.pop("summary").startswith("1 accepted by Lambda")
    assert last == {"accepted": 1, "set_aside": 1, "came_meanwhile": 0, "more": False}
    queue.sqs.purge_queue(QueueUrl=queue.url)
    assert command("--dry-run")[0] == command()[0] == 0


def command(*options: str) -> tuple[int, str]:
    """Run `redrive`; returns its code and what it printed."""
    result = CliRunner().invoke(ops, ["redrive", "--stage", "local", *options])
    console.quiet = False
    return result.exit_code, result.output
