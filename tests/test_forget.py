"""`forget` in the local cloud: nothing of the key is left, and no event brings anything back."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from chalicelib import pipeline
from chalicelib.events import Arrival
from chalicelib.extraction import extract
from chalicelib.invocations import handle
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings
from infra.ops.__main__ import ops
from infra.ops.aws.place import Place, locate
from infra.ops.aws.stored import Wanted, list_stored
from infra.ops.aws.uploads import read
from infra.ops.aws.versions import hide, remove
from infra.ops.cli import forget as command
from infra.ops.commands.forget import Erasure, wait_seconds
from infra.ops.local import stage as local_stage
from infra.ops.screen.progress import console
from tests.deployment import Deployment, new_key
from tests.events import s3_event

# A record that is published, and one that is rejected.
SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"},7]'
HANDLED = 10.0  # seconds after which all handlers of these tests have ended, even on a busy machine


@pytest.fixture(scope="module")
def place(deployment: Deployment) -> Place:
    local_stage.add_failure_queue()
    assert deployment.functions
    return locate("local")


@pytest.fixture
def queue(place: Place) -> Iterator[str]:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=place.failure_queue)["QueueUrl"]
    sqs.purge_queue(QueueUrl=url)
    yield url
    sqs.purge_queue(QueueUrl=url)


def forget(place: Place, *wanted: Wanted, seconds: float = 0) -> Erasure:
    erasure = Erasure(place, wanted)
    erasure.run(lambda *_: None, seconds=seconds, sweep_seconds=1)
    return erasure


def left(deployment: Deployment, *wanted: Wanted) -> list[str]:
    found = list_stored(deployment.s3, deployment.buckets, wanted)
    return [one.key for each in found for one in each]


def test_the_command_waits_for_as_long_as_a_handler_may_run(place: Place) -> None:
    assert wait_seconds(place) == 960
    assert wait_seconds(place._replace(timeout=60)) == 960  # an upload counts as new for 900 seconds


def test_every_version_of_a_key_is_deleted_and_no_other_key_is_changed(
    deployment: Deployment, place: Place
) -> None:
    key = f"{new_key()} ü+%.json"
    neighbours = [f"{key}/{name}.json" for name in "ab"] + [
        f"{key}.json",
        key.removesuffix(".json") + "2.json",
    ]
    for one in (key, *neighbours):
        deployment.upload(SCAN, one)
    deployment.upload(b'[{"patient_id":"P-1","patient_name":"Eva"}]', key)
    deployment.upload(b"[", key)
    deployment.s3.delete_object(Bucket=deployment.raw, Key=key)

    erasure = forget(place, Wanted(key))

    assert left(deployment, Wanted(key)) == []
    assert erasure.removed == {"raw": 4, "processed": 2, "rejected": 2}
    for one in neighbours:
        assert read(deployment.s3, deployment.processed, one)
        assert len(left(deployment, Wanted(one))) == 3


def test_a_key_with_characters_that_xml_forbids_is_deleted_like_any_other(deployment: Deployment) -> None:
    keys = [f"{new_key()}\x01\x1f.unannounced", f"{new_key()}\r\n.unannounced"]
    put = partial(deployment.s3.put_object, Bucket=deployment.raw, Body=SCAN)
    found = [(key, put(Key=key)["VersionId"]) for key in keys]

    markers = hide(deployment.s3, deployment.raw, keys)
    remove(deployment.s3, deployment.raw, [*found, *markers.items()])

    for key, version in [*found, *markers.items()]:
        with pytest.raises(ClientError, match="404"):
            deployment.s3.head_object(Bucket=deployment.raw, Key=key, VersionId=version)


def test_all_keys_with_a_prefix_are_deleted_and_reports_of_other_keys_are_not(
    deployment: Deployment, place: Place
) -> None:
    parent = new_key()
    keys = [f"{parent}/{name}.json" for name in "abc"]
    for one in (parent, *keys):
        deployment.upload(SCAN, one)

    erasure = forget(place, Wanted(f"{parent}/", is_prefix=True))

    assert erasure.keys == set(keys)
    assert left(deployment, *map(Wanted, keys)) == []
    assert len(left(deployment, Wanted(parent))) == 3


def test_an_upload_of_the_key_meanwhile_stays_with_everything_that_is_made_from_it(
    deployment: Deployment, place: Place
) -> None:
    key = new_key()
    deployment.upload(b'[{"patient_id":"P-1","patient_name":"Old"},8]', key)
    erasure = Erasure(place, [Wanted(key)])
    again = deployment.upload(SCAN, key)

    erasure.run(lambda *_: None, seconds=2, sweep_seconds=0.5)

    assert erasure.uploaded_again == {key}
    found = list_stored(deployment.s3, deployment.buckets, [Wanted(key)])
    assert [one.id for one in found.raw] == [again.version]
    # Possibly two versions: a handler that starts again writes it again.
    assert {one.key for one in found.rejected} == {f"{key}/{again.version}.jsonl"}
    assert len(found.processed) == 1
    assert b"Ada" in read(deployment.s3, deployment.processed, key, again.version)


def test_only_messages_that_name_no_other_key_are_deleted_from_the_failure_queue(
    deployment: Deployment, place: Place, queue: str
) -> None:
    gone, other = new_key(), new_key()
    sqs = boto3.client("sqs")
    for keys in ([gone], [other], [gone, other]):
        event = s3_event(*((deployment.raw, key) for key in keys))
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"requestPayload": event}))
    sqs.send_message(QueueUrl=queue, MessageBody="no JSON")
    time.sleep(0.01)

    erasure = forget(place, Wanted(gone))

    assert (erasure.messages_removed, erasure.messages_kept) == (1, 1)
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert len(received) == 3


def test_what_a_handler_publishes_that_had_opened_the_upload_before_is_deleted_too(
    deployment: Deployment, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{new_key()}.unannounced"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    opened, continues = threading.Event(), threading.Event()

    def wait_and_extract(*document: Any) -> Any:
        opened.set()
        continues.wait()
        return extract(*document)

    monkeypatch.setattr(pipeline, "extract", wait_and_extract)
    handler = threading.Thread(target=handle_here, args=(deployment, key))
    handler.start()
    opened.wait()

    erasure = Erasure(place, [Wanted(key)])
    erasure.run(lambda *_: continues.set(), seconds=3, sweep_seconds=3)

    handler.join()
    assert erasure.removed == {"raw": 1, "processed": 1, "rejected": 1}
    assert left(deployment, Wanted(key)) == []


def handle_here(deployment: Deployment, key: str) -> None:
    arrivals = [Arrival(deployment.raw, key)]
    handle(arrivals, ObjectStore(deployment.s3), Settings(*deployment.buckets), lambda: 900_000)


@contextmanager
def repeated_events(deployment: Deployment, keys: list[str]) -> Iterator[None]:
    """Send events of the keys again and again, as replays and retries do."""
    ended = threading.Event()

    def send_all() -> None:
        while not ended.wait(0.2):
            for key in keys:
                deployment.invoke_with(s3_event((deployment.raw, key), uploaded=time.time()))

    sender = threading.Thread(target=send_all)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()


def test_nothing_comes_back_during_uploads_a_replay_and_retries(
    deployment: Deployment, place: Place, queue: str
) -> None:
    keys = [new_key() for _ in range(2)]
    wanted = [Wanted(key) for key in keys]
    large = SCAN[:-1] + b"," + b",".join([SCAN[1:-1]] * 60_000) + b"]"

    with repeated_events(deployment, keys):
        for key in keys:
            for body in (SCAN, large):  # their handlers are running when it starts
                deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=body)
        erasure = forget(place, *wanted, seconds=HANDLED)

    assert erasure.removed["raw"] == 4
    assert not erasure.uploaded_again
    for key in keys:
        assert deployment.invoke_with(s3_event((deployment.raw, key), uploaded=time.time() - 960)) is None
    assert left(deployment, *wanted) == []
    assert waiting(queue) == 0


def waiting(queue: str) -> int:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return sum(map(int, found["Attributes"].values()))


def run(*options: str, typed: str = "") -> Result:
    """Run the command, with a wait of one second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "wait_seconds", lambda _place: 1)
        result = CliRunner().invoke(ops, ["forget", "--stage", "local", *options], input=typed)
    console.quiet = False
    return result


def test_if_the_typed_key_differs_nothing_is_deleted(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    result = run(key, typed=f"{key}x\n")

    assert result.exit_code == 1
    assert "Nothing was changed" in result.output
    assert len(left(deployment, Wanted(key))) == 3


def test_the_printed_record_has_no_key_and_a_second_run_finds_nothing(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    first = run(key, typed=f"{key}\n")
    second = run(key, "--json", "--yes")
    third = run(key, "--yes")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "Forgotten." in first.output
    assert "Nothing was found." in third.output
    assert key not in first.output.replace(f": {key}\n", "")  # the prompt
    assert key not in second.output
    assert left(deployment, Wanted(key)) == []


def test_after_ctrl_c_it_says_how_to_continue_and_a_second_run_finishes(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("infra.ops.commands.forget._wait", interrupt)
        interrupted = run(key, "--yes")
    (marker,) = list_stored(deployment.s3, deployment.buckets, [Wanted(key)]).raw
    assert deployment.invoke_with(s3_event((deployment.raw, key), uploaded=time.time())) is None
    ended = run(key, "--yes")

    assert interrupted.exit_code == 1
    assert "Run the same command again" in interrupted.output
    assert marker.is_marker
    assert ended.exit_code == 0
    assert left(deployment, Wanted(key)) == []


@pytest.mark.parametrize("options", [(), ("",), ("--prefix", ""), ("key.json", "--json")])
def test_ambiguous_arguments_are_refused(options: tuple[str, ...]) -> None:
    assert run(*options).exit_code == 2
