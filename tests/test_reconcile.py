"""`reconcile` on the local cloud finds every state, whatever the keys look like."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from chalicelib import pipeline
from chalicelib.events import Arrival
from chalicelib.extraction import REVISION
from chalicelib.invocations import UploadsFailedError, handle
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings
from infra.ops.__main__ import ops
from infra.ops.aws.place import Place, locate
from infra.ops.aws.revisions import Deployed
from infra.ops.aws.uploads import Buckets
from infra.ops.cli import reconcile as command
from infra.ops.commands.reconcile import Selection, State, reconcile
from infra.ops.screen.progress import console
from tests.account import acting_as, allow
from tests.deployment import Deployment

BUCKETS = Buckets("reconcile-raw", "reconcile-processed", "reconcile-rejected")
SETTINGS = Settings(*BUCKETS)
SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'
LONG_AGO = Deployed(REVISION, datetime(2020, 1, 1, tzinfo=UTC))
KEYS = ["%.json", "%41.json", "a b+ü=1.json", "folder/.json", '"quoted".json', "line\nbreak.json", "ü.json"]
KEYS += ["\U0001f441.json", "\uff21.json", "a.json", "a.json.json", "a.json/b.json", "- + minus.json"]


@pytest.fixture(scope="module")
def place(deployment: Deployment) -> Place:
    deployment.make_versioned(*BUCKETS)
    return locate("local")._replace(buckets=BUCKETS)


class Keys:
    """Keys with a prefix that only one test uses."""

    def __init__(self, place: Place, prefix: str) -> None:
        self.place = place
        self.prefix = prefix
        self.s3: Any = boto3.client("s3")

    def upload(self, name: str, body: bytes = SCAN) -> None:
        self.s3.put_object(Bucket=BUCKETS.raw, Key=self.prefix + name, Body=body)

    def publish(self, name: str, store: ObjectStore | None = None) -> None:
        arrival = Arrival(BUCKETS.raw, self.prefix + name)
        handle([arrival], store or ObjectStore(boto3.client("s3")), SETTINGS, lambda: 900_000)

    def upload_and_publish(self, name: str, body: bytes = SCAN) -> None:
        self.upload(name, body)
        self.publish(name)

    def states(self, deployed: Deployed = LONG_AGO, *, thorough: bool = False) -> dict[str, str]:
        found = reconcile(self.place, deployed, Selection(self.prefix), thorough=thorough)
        return {key.removeprefix(self.prefix): state.value for key, state in found}


@pytest.fixture
def keys(place: Place, request: pytest.FixtureRequest) -> Keys:
    return Keys(place, f"{request.node.name[:60]}/")


def test_an_upload_is_unpublished_and_then_current_whatever_its_key_looks_like(keys: Keys) -> None:
    for name in KEYS:
        keys.upload(name)
    assert keys.states() == dict.fromkeys(sorted(KEYS), "+")

    for name in KEYS:
        keys.publish(name)
    assert list(keys.states().items()) == [(name, "=") for name in sorted(KEYS)]


@pytest.mark.parametrize("thorough", [False, True], ids=["by timestamps", "thorough"])
def test_every_state_is_found(keys: Keys, thorough: bool) -> None:  # noqa: FBT001 - a parameter
    for name in ("current", "replaced", "outdated", "gone", "forgotten", "emptied"):
        keys.upload_and_publish(f"{name}.json")
    keys.upload_and_publish("malformed.json", b"[")
    keys.upload_and_publish("refused.json", b"[7]")
    keys.upload_and_publish("partly.json", SCAN[:-1] + b",7]")
    for name in ("not in json.txt", "LOUD.JSON", "folder/"):
        keys.upload(name)
    keys.upload("empty.json", b"")
    keys.upload("emptied.json", b"")
    keys.upload_and_publish("replaced.json", b"[]")
    keys.upload("outdated.json", b"[]")
    keys.s3.delete_object(Bucket=BUCKETS.raw, Key=keys.prefix + "gone.json")
    for version in keys.s3.list_object_versions(Bucket=BUCKETS.raw, Prefix=keys.prefix + "forgotten.json")[
        "Versions"
    ]:
        keys.s3.delete_object(Bucket=BUCKETS.raw, Key=version["Key"], VersionId=version["VersionId"])
    keys.upload("unpublished.json")
    keys.upload("deleted unpublished.json")
    keys.s3.delete_object(Bucket=BUCKETS.raw, Key=keys.prefix + "deleted unpublished.json")

    assert keys.states(thorough=thorough) == {
        "LOUD.JSON": ".",
        "current.json": "=",
        "emptied.json": ".",
        "empty.json": ".",
        "folder/": ".",
        "forgotten.json": "-",
        "gone.json": "-",
        "malformed.json": "!",
        "not in json.txt": ".",
        "outdated.json": "*",
        "partly.json": "=",
        "refused.json": "!",
        "replaced.json": "=",
        "unpublished.json": "+",
    }


class Interrupted(ObjectStore):
    """Raises an error when something is published."""

    def request(self, operation: str, **parameters: object) -> Any:
        if operation == "put_object" and parameters["Bucket"] == BUCKETS.processed:
            raise ConnectionError
        return super().request(operation, **parameters)


def test_a_publication_that_was_interrupted_after_its_rejections_does_not_count_as_refused(
    keys: Keys,
) -> None:
    keys.upload("interrupted.json", SCAN[:-1] + b",7]")
    with pytest.raises(UploadsFailedError):
        keys.publish("interrupted.json", Interrupted(boto3.client("s3")))
    assert keys.s3.list_objects_v2(Bucket=BUCKETS.rejected, Prefix=keys.prefix)["KeyCount"] == 1

    assert keys.states() == {"interrupted.json": "+"}


@pytest.mark.parametrize("body", [b"[", b"[7]"], ids=["malformed", "refused"])
def test_a_malformed_or_refused_replacement_is_outdated_until_the_pipeline_has_reported_it(
    keys: Keys, body: bytes
) -> None:
    keys.upload_and_publish("a.json")
    keys.upload("a.json", body)
    assert keys.states() == {"a.json": "*"}

    keys.publish("a.json")

    assert keys.states() == {"a.json": "!"}


def test_after_a_change_of_the_revision_everything_is_to_be_replayed_malformed_uploads_included(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, body in {"good": SCAN, "malformed": b"[", "refused": b"[7]"}.items():
        keys.upload_and_publish(f"{name}.json", body)
    later = Deployed("9:next", datetime.now(UTC))
    assert keys.states(later) == {"good.json": "*", "malformed.json": "+", "refused.json": "+"}

    monkeypatch.setattr(pipeline, "REVISION", later.revision)
    for name in ("good", "malformed", "refused"):
        keys.publish(f"{name}.json")

    assert keys.states(later) == {"good.json": "=", "malformed.json": "!", "refused.json": "!"}


def test_timestamps_of_a_multipart_upload_are_not_trusted(keys: Keys) -> None:
    key = {"Bucket": BUCKETS.raw, "Key": keys.prefix + "parts.json"}
    begun = keys.s3.create_multipart_upload(**key)["UploadId"]
    keys.upload_and_publish("parts.json", b"[]")
    part = keys.s3.upload_part(**key, UploadId=begun, PartNumber=1, Body=SCAN)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    keys.s3.complete_multipart_upload(**key, UploadId=begun, MultipartUpload=parts)
    for version in keys.s3.list_object_versions(Bucket=BUCKETS.raw, Prefix=keys.prefix)["Versions"]:
        if not version["IsLatest"]:  # as their expiry does
            keys.s3.delete_object(Bucket=BUCKETS.raw, Key=version["Key"], VersionId=version["VersionId"])

    assert keys.states() == {"parts.json": "*"}


def test_only_uploads_in_the_window_of_time_are_compared(keys: Keys) -> None:
    keys.upload("a.json")
    now = datetime.now(UTC)
    early, late = now - timedelta(minutes=1), now + timedelta(minutes=1)

    def found(after: datetime, before: datetime) -> list[tuple[str, State]]:
        return list(reconcile(keys.place, LONG_AGO, Selection(keys.prefix, after, before), thorough=False))

    assert found(early, late) == [(keys.prefix + "a.json", State.UNPUBLISHED)]
    assert found(late, late + timedelta(days=1)) == found(early - timedelta(days=1), early) == []


@contextmanager
def events_lost(s3: Any, bucket: str) -> Iterator[None]:
    """Remove a bucket's notification for a while."""
    notification = s3.get_bucket_notification_configuration(Bucket=bucket)
    del notification["ResponseMetadata"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=notification)


def test_exactly_the_uploads_with_lost_events_are_found_before_and_after_others_are_overwritten(
    deployment: Deployment,
) -> None:
    prefix, place = "lost-events/", locate("local")
    names = filter(str.isprintable, 3 * KEYS)  # in the local cloud's IAM, no wildcard matches a line break
    uploaded = [f"{prefix}{n:02} {name}" for n, name in enumerate(islice(names, 30))]
    for key in uploaded:
        deployment.upload(SCAN, key)
    overwritten, new = uploaded[::3], [f"{prefix}new {n}.json" for n in range(10)]
    with events_lost(deployment.s3, deployment.raw):
        for key in (*overwritten, *new):
            deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=b"[]")
    lost = dict.fromkeys(overwritten, "*") | dict.fromkeys(new, "+")
    assert len(lost) == 20

    def found() -> dict[str, str]:
        states = reconcile(place, LONG_AGO, Selection(prefix), thorough=False)
        return {key: str(state) for key, state in states}

    def to_do() -> dict[str, str]:
        return {key: state for key, state in found().items() if state != "="}

    assert to_do() == lost
    for key in uploaded[1::3]:
        deployment.upload(b"[]", key)
    assert to_do() == lost

    for key in lost:
        deployment.invoke((deployment.raw, key))
    assert found() == dict.fromkeys(sorted([*uploaded, *new]), "=")


def test_it_needs_only_permissions_to_list_and_to_read(keys: Keys) -> None:
    keys.upload_and_publish("current.json")
    keys.upload_and_publish("replaced.json")
    keys.upload_and_publish("replaced.json", b"[]")
    keys.upload_and_publish("refused.json", b"[7]")
    keys.upload_and_publish("malformed.json", b"[")
    keys.upload_and_publish("gone.json")
    keys.s3.delete_object(Bucket=BUCKETS.raw, Key=keys.prefix + "gone.json")
    keys.upload("unpublished.json")
    states = {
        "current": "=",
        "replaced": "=",
        "refused": "!",
        "malformed": "!",
        "gone": "-",
        "unpublished": "+",
    }
    expected = {f"{name}.json": state for name, state in states.items()}
    rights = [
        allow("s3:ListBucketVersions", f"arn:aws:s3:::{BUCKETS.raw}"),
        *(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}") for bucket in BUCKETS),
        *(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*") for bucket in BUCKETS),
    ]

    with acting_as("reconciler", *rights):
        assert keys.states() == expected
        assert keys.states(thorough=True) == expected


@pytest.fixture
def run(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run the command on the keys of a test."""

    def run(*options: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(
            ops, ["reconcile", "--stage", "local", "--prefix", keys.prefix, *options], catch_exceptions=False
        )
        return done.exit_code, done.stdout, done.stderr

    monkeypatch.setattr("infra.ops.cli.common.locate", lambda _: keys.place)
    monkeypatch.setattr(command, "deployed_revision", lambda _: LONG_AGO)
    monkeypatch.setattr(console, "quiet", False)
    monkeypatch.setattr(console, "stderr", False)
    return run


def test_the_command_counts_the_states_and_ends_with_3_if_something_is_to_be_replayed(
    keys: Keys, run: Callable[..., tuple[int, str, str]]
) -> None:
    keys.upload_and_publish("a.json")
    code, printed, _ = run()
    assert code == 0
    assert "= current 1\n" in printed
    assert "a.json" not in printed

    keys.upload("b.json")
    code, printed, _ = run()
    assert code == 3
    assert "= current 1\n+ not published 1\n* published from another version or revision 0\n" in printed


def test_the_standard_output_has_only_the_combined_list_and_every_key_can_be_read_back(
    keys: Keys, run: Callable[..., tuple[int, str, str]]
) -> None:
    for name in KEYS:
        keys.upload(name)

    _, lines, errors = run("--combined", "-")

    shown = [line[2:] for line in lines.splitlines()]
    assert [json.loads(key) if key.startswith('"') else key for key in shown] == [
        keys.prefix + name for name in sorted(KEYS)
    ]
    assert {line[:2] for line in lines.splitlines()} == {"+ "}
    assert f"+ not published {len(KEYS)}" in errors


def test_with_json_both_outputs_are_lines_of_json(
    keys: Keys, run: Callable[..., tuple[int, str, str]], tmp_path: Any
) -> None:
    keys.upload("a.json")
    file = tmp_path / "found"

    code, printed, _ = run("--json", "--combined", str(file))

    assert code == 3
    assert json.loads(file.read_text()) == {"key": keys.prefix + "a.json", "state": "+"}
    *_, last = map(json.loads, printed.splitlines())
    assert last["+ not published"] == "1"
