"""The permissions that `redrive` and `forget` require: these are sufficient, and each is necessary."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.ops.aws.place import Place, locate
from infra.ops.aws.stored import Wanted, list_stored
from infra.ops.aws.uploads import upload_with
from infra.ops.commands.forget import Erasure
from infra.ops.commands.redrive import redrive
from infra.ops.local import stage as local_stage
from tests.account import acting_as
from tests.deployment import FUNCTION, WITHIN, Deployment, new_key
from tests.events import s3_event

SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"},7]'
RAW, PROCESSED, REJECTED = (f"arn:aws:s3:::{bucket}" for bucket in local_stage.buckets())
FUNCTIONS = f"arn:aws:lambda:*:*:function:{FUNCTION}"
QUEUE = f"arn:aws:sqs:*:*:{FUNCTION}-failures"
QUEUE_ACTIONS = [
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
]
LOCATE = [("lambda:GetFunctionConfiguration", FUNCTIONS)]
REDRIVE = [
    *LOCATE,
    *((action, QUEUE) for action in [*QUEUE_ACTIONS, "sqs:GetQueueAttributes"]),
    ("lambda:InvokeFunction", FUNCTIONS),
]
FORGET = [
    *LOCATE,
    *((action, QUEUE) for action in QUEUE_ACTIONS),
    *(("s3:ListBucketVersions", bucket) for bucket in (RAW, PROCESSED, REJECTED)),
    # AWS requires both, MiniStack only the first.
    *(("s3:DeleteObject", f"{bucket}/*") for bucket in (RAW, PROCESSED, REJECTED)),
    *(("s3:DeleteObjectVersion", f"{bucket}/*") for bucket in (RAW, PROCESSED, REJECTED)),
    (
        "s3:GetObjectVersion",
        f"{PROCESSED}/*",
    ),  # if a key was uploaded again: from which version was it published?
]


@contextmanager
def allowed(rights: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Act as a user with exactly these permissions."""
    statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in rights]
    with acting_as(f"operator-{new_key()[6:14]}", *statements), monkeypatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # it has cached credentials
        yield locate("local")


@pytest.fixture
def messages(deployment: Deployment) -> Any:
    assert deployment
    local_stage.add_failure_queue()
    queue: Any = boto3.resource("sqs").get_queue_by_name(QueueName=f"{FUNCTION}-failures")
    queue.purge()
    return queue


def test_redrive_requires_these_permissions(
    deployment: Deployment, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{new_key()}.unannounced"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    messages.send_message(MessageBody=json.dumps(s3_event((deployment.raw, key))))
    messages.send_message(MessageBody="no JSON")

    with allowed(REDRIVE, monkeypatch) as place:
        redriven = redrive(place, lambda *_: None)

    assert (redriven.accepted, len(redriven.set_aside)) == (1, 1)
    deployment.await_key(deployment.processed, key)


def test_forget_requires_these_permissions(
    deployment: Deployment, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, again = new_key(), new_key()
    for one in (key, again):
        deployment.upload(SCAN, one)
        messages.send_message(MessageBody=json.dumps(s3_event((deployment.raw, one))))

    with allowed(FORGET, monkeypatch) as place:
        erasure = Erasure(place, [Wanted(key), Wanted(again)])
        upload_with(deployment.s3, deployment.buckets, again, SCAN + b" ", seconds=WITHIN)
        erasure.run(lambda *_: None, seconds=0)

    assert (erasure.uploaded_again, erasure.messages_removed) == ({again}, 1)
    assert not any(list_stored(deployment.s3, deployment.buckets, [Wanted(key)]))


@pytest.mark.parametrize("missing", ["s3:DeleteObject", "s3:ListBucketVersions"])
def test_a_missing_permission_is_an_error(
    deployment: Deployment, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    rights = [right for right in FORGET if right[0] != missing]
    with allowed(rights, monkeypatch) as place, pytest.raises(ClientError, match="AccessDenied"):
        Erasure(place, [Wanted(key)]).run(lambda *_: None, seconds=0)
