"""What an operator has to be allowed, and nothing more, for `redrive` and `forget`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.ops.aws.place import Place, locate
from infra.ops.aws.standing import Wanted, standing
from infra.ops.aws.uploads import upload_by
from infra.ops.commands.forget import Forgetting
from infra.ops.commands.redrive import redrive
from infra.ops.local import stage as local_stage
from tests.account import acting_as
from tests.deployment import FUNCTION, WITHIN, Deployment, new_key
from tests.events import s3_event

SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"},7]'
RAW, PROCESSED, REJECTED = (f"arn:aws:s3:::{bucket}" for bucket in local_stage.buckets())
FUNCTIONS = f"arn:aws:lambda:*:*:function:{FUNCTION}"
QUEUE = f"arn:aws:sqs:*:*:{FUNCTION}-failures"
READS_THE_QUEUE = [
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
]
LOCATES = [("lambda:GetFunctionConfiguration", FUNCTIONS)]
REDRIVES = [
    *LOCATES,
    *((action, QUEUE) for action in [*READS_THE_QUEUE, "sqs:GetQueueAttributes"]),
    ("lambda:InvokeFunction", FUNCTIONS),
]
FORGETS = [
    *LOCATES,
    *((action, QUEUE) for action in READS_THE_QUEUE),
    *(("s3:ListBucketVersions", bucket) for bucket in (RAW, PROCESSED, REJECTED)),
    # AWS asks for both; the stand-in for the first alone.
    *(("s3:DeleteObject", f"{bucket}/*") for bucket in (RAW, PROCESSED, REJECTED)),
    *(("s3:DeleteObjectVersion", f"{bucket}/*") for bucket in (RAW, PROCESSED, REJECTED)),
    ("s3:GetObjectVersion", f"{PROCESSED}/*"),  # where a key was uploaded again: made from which upload?
]


@contextmanager
def allowed(rights: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Act as who may do this and nothing else."""
    statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in rights]
    with acting_as(f"operator-{new_key()[6:14]}", *statements), monkeypatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # which keeps the credentials that it had
        yield locate("local")


@pytest.fixture
def messages(deployment: Deployment) -> Any:
    assert deployment
    local_stage.add_failure_queue()
    queue: Any = boto3.resource("sqs").get_queue_by_name(QueueName=f"{FUNCTION}-failures")
    queue.purge()
    return queue


def test_redrive_takes_these_rights(
    deployment: Deployment, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{new_key()}.unannounced"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    messages.send_message(MessageBody=json.dumps(s3_event((deployment.raw, key))))
    messages.send_message(MessageBody="no JSON")

    with allowed(REDRIVES, monkeypatch) as place:
        redriven = redrive(place, lambda *_: None)

    assert (redriven.accepted, len(redriven.aside)) == (1, 1)
    deployment.await_key(deployment.processed, key)


def test_forget_takes_these_rights(
    deployment: Deployment, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, again = new_key(), new_key()
    for one in (key, again):
        deployment.upload(SCAN, one)
        messages.send_message(MessageBody=json.dumps(s3_event((deployment.raw, one))))

    with allowed(FORGETS, monkeypatch) as place:
        forgetting = Forgetting(place, [Wanted(key), Wanted(again)])
        upload_by(deployment.s3, deployment.buckets, again, SCAN + b" ", seconds=WITHIN)
        forgetting.run(lambda *_: None, patience=0)

    assert (forgetting.again, forgetting.messages) == ({again}, 1)
    assert not any(standing(deployment.s3, deployment.buckets, [Wanted(key)]))


@pytest.mark.parametrize("missing", ["s3:DeleteObject", "s3:ListBucketVersions"])
def test_whoever_lacks_one_of_them_is_told_and_no_success_is_claimed(
    deployment: Deployment, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    rights = [right for right in FORGETS if right[0] != missing]
    with allowed(rights, monkeypatch) as place, pytest.raises(ClientError, match="AccessDenied"):
        Forgetting(place, [Wanted(key)]).run(lambda *_: None, patience=0)
