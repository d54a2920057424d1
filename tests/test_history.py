"""`status KEY` shows the history of one object, without any content of its records."""

import json
import shlex
import subprocess
import uuid
from collections.abc import Iterator

import boto3
import pytest

from chalicelib.safe_names import object_name
from infra.ops.aws.reports import ReasonCount, Report, summarise
from tests.deployment import Deployment, new_key, without_permission
from tests.operating import WIDTH, Done, answering, await_failures, failing_at_once, ops

PATIENT = "Wilhelmina"
SCAN = f'[{{"patient_id":"P-1","patient_name":"{PATIENT}"}}]'.encode()
MIXED = SCAN[:-1] + f',{{"patient_id":"{PATIENT}"}},7,{{"patient_id":"P-2"}}]'.encode()


@pytest.fixture
def queue(deployment: Deployment) -> Iterator[str]:
    with failing_at_once(deployment) as url:
        yield url


def history(key: str) -> Done:
    """Run `status KEY` as text and as JSON; returns the latter. Neither may name the patient."""
    screen, done = ops("status", key), ops("status", key, "--json")
    assert screen.code == done.code
    assert PATIENT not in screen.printed + done.printed
    return done


@pytest.mark.usefixtures("queue")
def test_for_a_published_object_it_shows_version_revision_and_number_of_records(
    deployment: Deployment,
) -> None:
    key = new_key()
    deployment.upload(b"[]", key)
    outcome = deployment.upload(SCAN, key)

    done = history(key)

    published = done.findings["published"]["published"]
    metadata = deployment.s3.head_object(Bucket=deployment.processed, Key=key)["Metadata"]
    assert done.code == 0
    assert published["version"] == outcome.version == metadata["source-version"]
    assert published["revision"] == metadata["extraction-revision"]
    assert (published["records"], published["size"]) == (1, 43 + len(PATIENT))
    assert [one["bytes"] for one in done.findings["uploads"]["versions"]] == [len(SCAN), 2]
    assert done.findings["rejected"]["reasons"] == {}
    assert done.findings["failures"]["waiting"] == 0


@pytest.mark.usefixtures("queue")
def test_it_shows_the_digest_that_names_the_object_in_the_log_and_a_command_to_find_it(
    deployment: Deployment,
) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    log = history(key).findings["log"]

    digest = object_name(key, log_object_keys=False).digest
    words = shlex.split(log["search"])
    assert log["digest"] == digest
    assert words[words.index("--filter-pattern") + 1] == f'{{ $.object.digest = "{digest}" }}'
    deployment.logged("object_published", object={"digest": digest})


@pytest.mark.usefixtures("queue")
def test_rejected_records_are_shown_by_reason_and_index(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(MIXED, key)

    done = history(key)

    assert done.code == 0
    assert done.findings["rejected"]["reasons"] == {
        "patient_name: missing": {"records": 2, "first": [1, 3]},
        "record: not an object": {"records": 1, "first": [2]},
    }
    assert "2: patient_name: missing (index 1, 3)" in ops("status", key).printed


@pytest.mark.usefixtures("queue")
def test_after_a_malformed_version_the_earlier_publication_stays_and_nothing_is_left_to_do(
    deployment: Deployment,
) -> None:
    key = new_key()
    before = deployment.upload(SCAN, key)
    deployment.upload(b'[{"patient_id":', key)

    done = history(key)

    assert done.code == 0
    assert done.findings["rejected"]["malformed"] == "truncated"
    assert done.findings["published"]["published"]["version"] == before.version
    assert "That is not current: it is malformed." in ops("status", key).printed


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("scan.txt", SCAN, "its name does not end in .json"),
        ("empty.json", b"", "it has 0 bytes"),
        ("deleted.json", b"", "the upload was deleted"),
    ],
)
def test_the_reason_why_an_object_is_not_published_is_shown(
    deployment: Deployment, name: str, body: bytes, why: str
) -> None:
    key = f"{uuid.uuid4()}/{name}"
    deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=body)
    if name == "deleted.json":
        deployment.s3.delete_object(Bucket=deployment.raw, Key=key)

    done = history(key)

    assert done.code == 0
    assert done.findings["published"]["why_not"] == why


@pytest.mark.usefixtures("queue")
def test_for_a_refused_object_the_reasons_are_shown(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(b"[7]", key)

    done = history(key)

    assert done.code == 0
    assert done.findings["published"]["why_not"] == "none of its records is valid"
    assert done.findings["rejected"]["reasons"]["record: not an object"]["records"] == 1


@pytest.mark.usefixtures("queue")
def test_what_another_revision_published_or_refused_is_left_to_do_as_reconcile_says(
    deployment: Deployment,
) -> None:
    prefix = new_key()
    keys = {name: f"{prefix}/{name}.json" for name in ("published", "malformed", "refused")}
    for name, body in {"published": SCAN, "malformed": b"[", "refused": b"[7]"}.items():
        deployment.upload(body, keys[name])

    def to_do() -> dict[str, tuple[int, int]]:
        """Exit codes of `status KEY` and of `reconcile`, by object."""
        return {
            name: (history(key).code, ops("reconcile", "--prefix", key, "--thorough").code)
            for name, key in keys.items()
        }

    assert set(to_do().values()) == {(0, 0)}
    with answering(deployment, "return {'revision': '9:next', 'outcomes': []}"):
        assert set(to_do().values()) == {(3, 3)}
        shown = ops("status", keys["malformed"]).printed
    assert ", which is not deployed now" in shown


@pytest.mark.usefixtures("queue")
def test_if_the_deployed_revision_is_unknown_the_published_one_counts_as_current(
    deployment: Deployment,
) -> None:
    key = new_key()
    deployment.upload(SCAN, key)

    with answering(deployment, "return None"):
        done = history(key)

    assert done.code == 0
    assert "does not say which revision" in done.findings["revision"]["unknown"]


@pytest.mark.usefixtures("queue")
def test_an_object_that_is_not_published_but_should_be_ends_with_3_and_names_its_replay(
    deployment: Deployment,
) -> None:
    key = f"it's {new_key()}"
    deployment.upload(SCAN, key)
    deployment.s3.delete_object(Bucket=deployment.processed, Key=key)

    done = history(key)

    assert done.code == 3
    assert done.findings["published"]["published"] is None
    (todo,) = done.lines[-1]["todo"]
    line, _, replay = todo.partition(" | ")
    assert replay == "python -m infra.ops replay --stage local --files-from -"
    printed = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == {"key": key}


def test_an_object_whose_event_is_in_the_failure_queue_ends_with_3_and_shows_the_cause(
    deployment: Deployment, queue: str
) -> None:
    key, other = new_key(), new_key()
    with without_permission("s3:PutObject"):
        for one in (key, other):
            deployment.s3.put_object(Bucket=deployment.raw, Key=one, Body=SCAN)
        await_failures(queue, 2)

    done = history(key)

    assert done.code == 3
    assert done.findings["failures"]["why"] == ["ObjectStoreError put_object: AccessDenied"]
    assert done.lines[-1]["todo"] == ["make redrive STAGE=local"]
    boto3.client("sqs").purge_queue(QueueUrl=queue)


@pytest.mark.usefixtures("queue")
def test_only_the_newest_versions_are_shown_and_none_of_another_object(
    deployment: Deployment,
) -> None:
    key = f"{new_key()}.unannounced"
    for number in range(12):
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=b"x" * number)
    deployment.s3.put_object(Bucket=deployment.raw, Key=f"{key}.json.unannounced", Body=b"another")

    found = history(key).findings["uploads"]["versions"]

    assert found[0]["bytes"] == 11
    assert len(found) == 10


@pytest.mark.usefixtures("queue")
def test_an_unknown_object_is_an_error() -> None:
    done = ops("status", f"{uuid.uuid4()}.json", "--json")

    assert done.code == 1
    assert "no such object" in done.lines[-1]["error"]


@pytest.mark.usefixtures("queue")
def test_only_the_line_to_copy_is_wider_than_80_columns(deployment: Deployment) -> None:
    key = new_key()
    deployment.upload(MIXED, key)

    lines = ops("status", key).printed.splitlines()

    assert all(len(line) <= WIDTH for line in lines if not line.startswith("aws logs "))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_report_is_summed_up_whatever_the_size_of_its_chunks(size: int) -> None:
    record = json.dumps({"note": '{"index":9,"reason":"inside"}' * 1000})
    lines = [f'{{"index":{index},"reason":"a \\"b\\"","record":{record}}}\n' for index in (3, 5, 7, 8)]
    text = "".join([*lines, '{"index":9,"reason":"c","record_base64":"AA=="}\n']).encode()

    report = summarise(text[at : at + size] for at in range(0, len(text), size))

    assert report == Report({'a "b"': ReasonCount(4, [3, 5, 7]), "c": ReasonCount(1, [9])})


def test_a_report_with_a_very_large_record_takes_little_memory() -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"index":0,"reason":"x","record":"'
        for _ in range(20_000):
            yield b"x" * 65536  # 1.3 GB

    assert summarise(chunks()) == Report({"x": ReasonCount(1, [0])})
