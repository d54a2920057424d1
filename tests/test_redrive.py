"""What failed for good: waits in the failure queue, complete, and is put back by `redrive`."""

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
from infra.ops.commands.redrive import Redriven, look, redrive
from infra.ops.local import stage as local_stage
from infra.ops.screen.progress import console
from tests.deployment import FUNCTION, Deployment, new_key, without_permission
from tests.events import TEST_EVENT, s3_event

PATIENT = "Wilhelmina"
SCAN = f'[{{"patient_id":"{PATIENT}","patient_name":"{PATIENT}"}}]'.encode()
STRANGE = {
    "no JSON": "no JSON that Lambda takes",
    "[" * 100_000: "no JSON that Lambda takes",
    '{"requestPayload":' + "[" * 100_000: "no JSON that Lambda takes",
    "NaN": "no JSON that Lambda takes",
    '{"requestPayload":{"Records":[NaN]}}': "no JSON that Lambda takes",
    '{"requestPayload":1e999}': "no JSON that Lambda takes",
    '"\\ud800"': "no JSON that Lambda takes",
    "9" * 5000: "no JSON that Lambda takes",
    "[]": "names no object",
    "{}": "names no object",
    "7": "names no object",
    '{"requestContext":{"functionArn":"arn"}}': "names no object",
    '{"requestPayload":null}': "names no object",
    json.dumps(TEST_EVENT): "names no object",
}


@pytest.fixture(scope="module")
def place(deployment: Deployment) -> Iterator[Place]:
    """The stage, its function without Lambda's own retries."""
    local_stage.add_failure_queue()
    before = deployment.functions.get_function_event_invoke_config(FunctionName=FUNCTION)
    deployment.functions.put_function_event_invoke_config(
        FunctionName=FUNCTION, MaximumRetryAttempts=0, DestinationConfig=before["DestinationConfig"]
    )
    yield locate("local")
    local_stage.add_failure_queue()


class Queue:
    """The stage's failure queue, as its tests use it."""

    def __init__(self, place: Place) -> None:
        self.sqs: Any = boto3.client("sqs")
        self.url = self.sqs.get_queue_url(QueueName=place.failure_queue)["QueueUrl"]

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def first(self) -> str:
        """Wait for a message, and leave it in the queue."""
        answer = self.sqs.receive_message(QueueUrl=self.url, VisibilityTimeout=0, WaitTimeSeconds=20)
        return str(answer["Messages"][0]["Body"])

    def counts(self, *, hidden: bool = True) -> int:
        """Count the messages, those out of sight included or not."""
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
    """Put an object there of which S3 tells nobody; returns its key."""
    key = f"{new_key()}.unannounced"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    return key


def event(deployment: Deployment, key: str) -> str:
    """What SQS gives up: the event itself."""
    return json.dumps(s3_event((deployment.raw, key)))


def record(deployment: Deployment, key: str) -> str:
    """What Lambda writes of an event that failed."""
    said = {"errorMessage": "1 of 1 uploads: 0123456789abcdef ObjectStoreError put_object: AccessDenied"}
    request = {"functionArn": "arn", "condition": "RetriesExhausted"}
    failed = s3_event((deployment.raw, key))
    return json.dumps({"requestContext": request, "requestPayload": failed, "responsePayload": said})


def redriven(place: Place, limit: int | None = None) -> Redriven:
    return redrive(place, lambda *_: None, limit=limit)


def test_what_failed_for_good_is_in_the_queue_whole_and_redrive_publishes_it(
    deployment: Deployment, place: Place, queue: Queue
) -> None:
    key = f"{new_key()}-Canary.json"

    with without_permission("s3:PutObject"):
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
        body = queue.first()
        assert redriven(place).accepted == 1
        again = queue.first()  # it failed once more, and is back
    assert redriven(place) == Redriven(accepted=1, aside=[], later=0, more=False)

    deployment.await_key(deployment.processed, key)
    assert PATIENT.encode() in deployment.get(deployment.processed, key)
    assert queue.counts() == 0
    for text in (body, again):
        told = json.loads(text)
        assert PATIENT not in text
        assert "Canary" in json.dumps(told.pop("requestPayload"))
        assert "Canary" not in json.dumps(told)
        assert "AccessDenied" in told["responsePayload"]["errorMessage"]


def odd_record(deployment: Deployment, key: str) -> str:
    """Such a record, of a failure that nobody expects."""
    odd = {"requestContext": 7, "responsePayload": ["0123456789abcdef Wilhelmina"]}
    return json.dumps(json.loads(record(deployment, key)) | odd)


@pytest.mark.parametrize("form", [event, record, odd_record])
def test_what_sqs_gave_up_and_what_lambda_did_are_both_understood(
    deployment: Deployment, place: Place, queue: Queue, form: Any
) -> None:
    key = unpublished(deployment)
    queue.send(form(deployment, key))

    assert redriven(place) == Redriven(accepted=1, aside=[], later=0, more=False)

    deployment.await_key(deployment.processed, key)
    assert queue.counts() == 0


def test_no_message_can_stop_it(deployment: Deployment, place: Place, queue: Queue) -> None:
    key = unpublished(deployment)
    for body in (*STRANGE, event(deployment, key)):
        queue.send(body)

    accepted, aside, later, more = redriven(place)

    assert (accepted, later, more) == (1, 0, False)
    assert sorted(message.cause for message in aside) == sorted(STRANGE.values())
    assert queue.counts(hidden=False) == len(STRANGE)  # in sight again, at once
    deployment.await_key(deployment.processed, key)


def test_an_event_that_is_too_large_for_lambda_is_set_aside(
    deployment: Deployment, place: Place, queue: Queue
) -> None:
    growing = f',"more":[{",".join(["1e15"] * 180_000)}]}}'
    queue.send(event(deployment, "key.json").removesuffix("}") + growing)

    _, (message,), _, _ = redriven(place)

    assert message.cause == "RequestEntityTooLargeException"


def test_what_comes_while_it_runs_is_left_so_that_it_ends(
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


def test_no_more_are_sent_than_asked_for(deployment: Deployment, place: Place, queue: Queue) -> None:
    for body in ("no JSON", *[event(deployment, "absent.json")] * 3):
        queue.send(body)

    accepted, aside, _, more = redriven(place, limit=2)

    assert (accepted, len(aside), more) == (2, 1, True)
    assert queue.counts(hidden=False) == 2


def test_two_at_once_are_harmless(deployment: Deployment, place: Place, queue: Queue) -> None:
    keys = [unpublished(deployment) for _ in range(4)]
    for key in keys:
        queue.send(event(deployment, key))

    with ThreadPoolExecutor() as pool:
        both = list(pool.map(redriven, [place, place]))

    assert sum(one.accepted for one in both) == len(keys)
    assert queue.counts() == 0
    for key in keys:
        deployment.await_key(deployment.processed, key)


LATE = "waited too long for its turn"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ({"responsePayload": {"errorMessage": "1 of 2 uploads: unreadable record"}}, "unreadable record"),
        ({"responsePayload": {"errorType": "Sandbox.Timedout", "errorMessage": PATIENT}}, "Sandbox.Timedout"),
        ({"responsePayload": {"errorType": f"the patient {PATIENT}"}}, failures.UNKNOWN),
        ({"responsePayload": {"errorMessage": f"0123456789abcdef {PATIENT}"}}, failures.UNKNOWN),
        ({"responsePayload": None, "requestContext": {"condition": "EventAgeExceeded"}}, LATE),
    ],
)
def test_why_an_event_failed_is_told_by_names_of_errors_alone(
    deployment: Deployment, place: Place, queue: Queue, failure: dict[str, Any], told: str
) -> None:
    queue.send(json.dumps({"requestPayload": s3_event((deployment.raw, "key.json")), **failure}))
    time.sleep(0.01)

    ((cause, times),) = look(place)

    assert (cause, len(times)) == (told, 1)


class Killed(BaseException):
    """Nothing is done any more, cleaning up included."""


def killed_at(step: int, *, done: bool) -> Any:
    """Kill whoever asks AWS for the so-and-so-manieth time, before that is done or after."""
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
def test_killed_at_any_step_it_loses_nothing_and_hides_nothing_for_longer_than_a_minute(
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
    for step in range(6):  # where is the queue, how much is in it, what; Lambda; away with it; what else
        keys.append(unpublished(deployment))
        queue.send(event(deployment, keys[-1]))
        with killed_at(step, done=done), pytest.raises(Killed):
            redriven(place)
    time.sleep(1.1)

    redriven(place)

    assert queue.counts() == 0
    for key in keys:
        deployment.await_key(deployment.processed, key)


def test_the_command_says_what_it_did_and_leaves_a_code(deployment: Deployment, queue: Queue) -> None:
    key = unpublished(deployment)
    queue.send(record(deployment, key))
    queue.send("{}")

    waits, shown = command("--dry-run")
    ended, said = command("--json")

    assert (waits, ended) == (3, 3)
    assert "put_object: AccessDenied" in shown
    assert "names no object" in shown
    assert key not in shown + said
    *_, aside, summary = map(json.loads, said.splitlines())
    assert aside["set_aside"] == "names no object"
    assert summary == {"accepted": 1, "set_aside": 1, "came_meanwhile": 0, "more": False}
    queue.sqs.purge_queue(QueueUrl=queue.url)
    assert command("--dry-run")[0] == command()[0] == 0


def command(*options: str) -> tuple[int, str]:
    """Run `redrive`; returns its code and what it printed."""
    result = CliRunner().invoke(ops, ["redrive", "--stage", "local", *options])
    console.quiet = False
    return result.exit_code, result.output
