"""`replay` publishes what was uploaded before the pipeline existed, and uploads whose events were lost."""

import io
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from infra.ops.aws.place import locate
from infra.ops.aws.results import Result, results
from infra.ops.aws.state_machine import NoReplayError, Run, StateMachine
from infra.ops.cli.replay import replay_command
from infra.ops.commands import replay
from infra.ops.commands.replay import (
    NothingToDoError,
    Report,
    Selection,
    UnreadableLineError,
    new_run_name,
    read_keys,
    report,
    upload_manifest,
    watch,
)
from infra.ops.local.cloud import ROOT
from infra.ops.local.stage import OPERATIONS_BUCKET
from tests.deployment import Deployment, new_key, without_permission

SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'
DEFINITION = json.loads((ROOT / "infra" / "replay.asl.json").read_text())
MAPS = [state for state in DEFINITION["States"].values() if state["Type"] == "Map"]
# No key with a line feed: MiniStack's IAM refuses every request for it.
ODD = ["a b", "a+b", "ü", "100%", "%41", "\u202e", "a\tb", '"quoted"', "+ plus", "* star", "= same", "{}"]


@pytest.fixture(scope="module")
def machine(deployment: Deployment) -> Iterator[StateMachine]:
    assert deployment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "POLL_SECONDS", 0.1)
        yield StateMachine(locate("local"))


@contextmanager
def events_lost(deployment: Deployment) -> Iterator[None]:
    """Remove the raw bucket's notification for a while."""
    raw = deployment.raw
    notification: Any = deployment.s3.get_bucket_notification_configuration(Bucket=raw)
    notification.pop("ResponseMetadata")
    deployment.s3.put_bucket_notification_configuration(Bucket=raw, NotificationConfiguration={})
    try:
        yield
    finally:
        deployment.s3.put_bucket_notification_configuration(
            Bucket=raw, NotificationConfiguration=notification
        )


def put(deployment: Deployment, *keys: str, body: bytes = SCAN) -> None:
    for key in keys:
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=body)


def run(machine: StateMachine, selection: Selection, *keys: str) -> Report:
    name, run_input = new_run_name(), selection.as_input(max_concurrency=2)
    if keys:
        run_input["manifest"] = upload_manifest(machine, name, keys)
    machine.start(name, run_input)
    return report(machine, watch(machine, name))


def counts(outcomes: Report) -> dict[str, int]:
    return {name: number for name, number in outcomes.outcomes.items() if number}


def test_300_uploads_without_events_are_published_and_a_second_replay_publishes_nothing(
    deployment: Deployment, machine: StateMachine
) -> None:
    prefix = new_key().replace(".json", "/")
    odd = [f"{prefix}{name}.json" for name in ODD]
    plain = [f"{prefix}{number:03}.json" for number in range(300 - len(odd) - 3 - 2 - 3)]
    broken = [f"{prefix}broken-{number}.json" for number in range(3)]
    refused = [f"{prefix}refused-{number}.json" for number in range(2)]
    with events_lost(deployment):
        put(deployment, *odd, *plain)
        put(deployment, *broken, body=b"[oops")
        put(deployment, *refused, body=b"[{}]")
        put(deployment, f"{prefix}folder/", f"{prefix}a.JSON", f"{prefix}a.csv")
    expected = {"malformed": 3, "refused": 2, "ignored": 3}

    first = run(machine, Selection(prefix))
    second = run(machine, Selection(prefix))
    third = run(machine, Selection(prefix, force=True))

    assert counts(first) == {"published": 292, **expected}
    assert first.state == "COMPLETED_WITH_ERRORS"
    assert first.facts()["scanned"] == "300"
    assert first.facts()["records"] == "292"
    assert counts(second) == {"unchanged": 292, **expected}
    assert counts(third) == {"published": 292, **expected}
    pages = deployment.s3.get_paginator("list_object_versions").paginate(
        Bucket=deployment.processed, Prefix=prefix
    )
    versions = [version["Key"] for page in pages for version in page["Versions"]]
    assert sorted(versions) == sorted([*odd, *plain] * 2)


def test_a_scheduled_run_publishes_the_uploads_whose_events_were_lost(
    deployment: Deployment, machine: StateMachine
) -> None:
    """The input is the one that Terraform gives the schedule, plus a prefix."""
    prefix = new_key().replace(".json", "/")
    keys = [f"{prefix}{number}.json" for number in range(5)]
    put(deployment, keys[0])
    deployment.await_key(deployment.processed, keys[0])
    with events_lost(deployment):
        put(deployment, *keys[1:])

    name = new_run_name()
    machine.start(name, scheduled() | {"prefix": prefix})

    assert counts(report(machine, watch(machine, name))) == {"published": 4, "unchanged": 1}


def scheduled() -> dict[str, Any]:
    """Read the input with which the schedule starts the state machine."""
    text = (ROOT / "infra" / "states.tf").read_text()
    lines = text.split("input = jsonencode({\n")[1].split("})")[0].splitlines()
    return {
        name.strip(): json.loads(value) for name, value in (line.split("=") for line in lines if "=" in line)
    }


def test_the_schedule_and_the_command_give_every_input_that_the_state_machine_reads() -> None:
    read = set(re.findall(r'"\$\.(\w+)"', json.dumps([*MAPS, DEFINITION["States"]["WhichObjects"]])))

    assert set(scheduled()) == set(Selection().as_input(1)) == read - {"Payload", "manifest"}
    assert read >= {"Payload", "manifest"}


def test_only_the_keys_of_a_manifest_are_replayed(deployment: Deployment, machine: StateMachine) -> None:
    keys = [new_key().replace(".json", f"{name}.json") for name in ODD]
    with events_lost(deployment):
        put(deployment, *keys)

    assert counts(run(machine, Selection(), *keys[1:])) == {"published": len(keys) - 1}
    assert not deployment.keys(deployment.processed, keys[0])


def test_the_failed_keys_of_a_run_can_be_read(deployment: Deployment, machine: StateMachine) -> None:
    keys = [new_key() for _ in range(4)]
    with events_lost(deployment):
        put(deployment, *keys)
    name, run_input = new_run_name(), Selection().as_input(2)
    with without_permission("s3:PutObject", f"arn:aws:s3:::{deployment.processed}/{keys[2]}"):
        machine.start(name, run_input | {"manifest": upload_manifest(machine, name, keys)})
        outcome = report(machine, watch(machine, name))

    assert counts(outcome) == {"published": 3, "failed": 1}
    assert outcome.state == "COMPLETED_WITH_ERRORS"
    assert list(replay.failed_keys(machine, name)) == [keys[2]]


def test_a_run_without_a_key_or_of_the_failures_of_a_run_that_has_not_ended_is_not_started(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NothingToDoError, match="No key"):
        upload_manifest(machine, new_run_name(), [])
    with pytest.raises(NoReplayError, match="no run gone of ikerian-data-pipeline-local-replay"):
        list(replay.failed_keys(machine, "gone"))
    monkeypatch.setattr(machine, "describe", lambda name: Run(name, "RUNNING", "", NOW, None))
    with pytest.raises(NothingToDoError, match="is still running"):
        list(replay.failed_keys(machine, "busy"))


LINES = """\
a.json
+ new.json
* old.json
= same.json
- gone.json
! broken.json
b c.json
folder/
a.JSON

"quoted\\n.json"
+ "\\u0001.json"
{"key": "d.json", "state": "+"}
{"key": "e.json", "state": "="}
{"key": "f.json"}
"""


def test_keys_are_read_from_plain_lines_and_from_lines_of_reconcile_and_the_others_are_counted() -> None:
    left_out: Counter[str] = Counter()

    assert list(read_keys(io.StringIO(LINES), left_out)) == [
        *("a.json", "new.json", "old.json", "b c.json", "quoted\n.json", "\x01.json", "d.json", "f.json")
    ]
    assert left_out == {"their state is neither + nor *": 4, "their keys do not end in .json": 2}


@pytest.mark.parametrize("broken", ['"a.json', '{"key": ', "{}.json", '{"key": 7}', '+ "a', r'"\ud800.json"'])
def test_the_error_of_a_line_that_is_no_key_has_its_number(broken: str) -> None:
    with pytest.raises(UnreadableLineError, match=r"^Line 2 is neither"):
        list(read_keys(["a.json\n", broken], Counter()))


def line(items: list[str], outcomes: list[str] | None) -> str:
    """Return a line as Step Functions writes it, in which input and output are JSON texts."""
    result: dict[str, Any] = {
        "Input": json.dumps({"Items": [{"Key": key} for key in items]}),
        "Status": "FAILED",
    }
    if outcomes is not None:
        answer = {"revision": "r", "outcomes": [{"outcome": outcome} for outcome in outcomes]}
        result |= {"Output": json.dumps(answer), "Status": "SUCCEEDED"}
    return json.dumps(result) + "\n"


def test_results_are_read_from_where_step_functions_writes_them(
    deployment: Deployment, machine: StateMachine
) -> None:
    folder = f"results/{new_run_name()}/4977ded7"
    files = {
        "SUCCEEDED_0.jsonl": line(["a", "b"], ["published", "failed"]) + line(["c"], ["ignored"]),
        "SUCCEEDED_1.jsonl": line(["ü\u2028"], ["malformed"]),
        "FAILED_0.jsonl": line(["d", "e"], None),
    }
    for name, body in files.items():
        deployment.s3.put_object(Bucket=OPERATIONS_BUCKET, Key=f"{folder}/{name}", Body=body.encode())
    listed = {
        how: [{"Key": f"{folder}/{name}", "Size": 1} for name in files if name.startswith(how)]
        for how in ("FAILED", "PENDING", "SUCCEEDED")
    }
    manifest = {"DestinationBucket": OPERATIONS_BUCKET, "MapRunArn": "arn", "ResultFiles": listed}
    deployment.s3.put_object(
        Bucket=OPERATIONS_BUCKET, Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode()
    )

    read = list(results(machine, folder.split("/")[1]))

    assert [(result.keys, result.failed) for result in read] == [
        (["d", "e"], ["d", "e"]),
        (["a", "b"], ["b"]),
        (["c"], []),
        (["ü\u2028"], []),
    ]
    assert counts(Report(ENDED, read)) == {"published": 1, "failed": 3, "ignored": 1, "malformed": 1}


NOW = datetime(2026, 11, 25, tzinfo=UTC)
ENDED = Run("r", "SUCCEEDED", "", NOW, NOW + timedelta(seconds=2))


@pytest.mark.parametrize(
    ("status", "outcomes", "state"),
    [
        ("SUCCEEDED", ["published", "unchanged", "empty", "missing", "ignored"], "COMPLETED"),
        ("SUCCEEDED", [], "COMPLETED"),
        ("SUCCEEDED", ["published", "malformed"], "COMPLETED_WITH_ERRORS"),
        ("SUCCEEDED", ["refused"], "COMPLETED_WITH_ERRORS"),
        ("SUCCEEDED", ["failed"], "COMPLETED_WITH_ERRORS"),
        ("FAILED", ["published"], "FAILED"),
        ("ABORTED", [], "FAILED"),
        ("TIMED_OUT", [], "FAILED"),
    ],
)
def test_a_run_ends_in_the_states_of_an_import_job(status: str, outcomes: list[str], state: str) -> None:
    batch = Result(["key"] * len(outcomes), [{"outcome": outcome} for outcome in outcomes])

    assert Report(ENDED._replace(status=status), [batch]).state == state


def test_a_report_has_the_sums_of_records_and_bytes_and_the_speed() -> None:
    outcome = {"outcome": "published", "extracted": 3, "rejected": 1, "bytes_read": 4_000_000}

    facts = Report(ENDED, [Result(["a", "b"], [outcome, outcome])]).facts()

    assert facts["records"] == "6"
    assert facts["rejected records"] == "2"
    assert facts["MB read"] == "8.0"
    assert (facts["seconds"], facts["objects a second"], facts["MB a second"]) == ("2", "1.0", "4.0")


def test_the_concurrency_of_a_run_can_be_lowered_while_it_runs(
    deployment: Deployment, machine: StateMachine
) -> None:
    key = new_key()
    put(deployment, key)
    name = new_run_name()
    machine.start(name, Selection(prefix=key).as_input(2))
    while not machine.map_runs(name):
        time.sleep(0.05)

    machine.brake(name, 1)

    (map_run,) = machine.map_runs(name)
    assert machine.client.describe_map_run(mapRunArn=map_run)["maxConcurrency"] == 1
    watch(machine, name)


def command(*options: str, lines: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "infra.ops", "replay", "--stage", "local", *options],
        cwd=ROOT,
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_names_the_run_when_it_starts_and_prints_lines_of_json(deployment: Deployment) -> None:
    key = new_key()
    with events_lost(deployment):
        put(deployment, key)

    code, printed = command("--json", "--files-from", "-", lines=f"+ {key}\n= other.json\n")

    lines = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    (begun,) = [line["summary"] for line in lines if line.get("summary", "").startswith("Starting replay-")]
    assert lines[-1]["summary"] == f"{begun.split()[1].rstrip('.')} has ended."
    assert (lines[-1]["state"], lines[-1]["scanned"], lines[-1]["published"]) == ("COMPLETED", "1", "1")


def test_a_run_with_failures_ends_with_3_and_failed_of_publishes_them(deployment: Deployment) -> None:
    key = new_key()
    with events_lost(deployment):
        put(deployment, key)
    with without_permission("s3:PutObject"):
        code, printed = command("--prefix", key)
    assert code == 3
    (name,) = re.findall(r"Starting (replay-\S+)\.", printed)

    code, printed = command("--failed-of", name)

    assert code == 0
    assert "\npublished 1\n" in printed
    assert command("--watch", name)[0] == 3


def test_a_dry_run_starts_nothing(deployment: Deployment) -> None:
    prefix = new_key().replace(".json", "/")
    put(deployment, f"{prefix}a.json", f"{prefix}a.csv")

    assert "uploads to check 1\n" in command("--dry-run", "--prefix", prefix)[1]
    assert (
        "uploads to check 0\n"
        in command("--dry-run", "--prefix", prefix, "--created-before", "2020-01-01")[1]
    )
    assert "uploads to check 2\n" in command("--dry-run", "--files-from", "-", lines="a.json\nb.json\n")[1]


@pytest.mark.usefixtures("deployment")
def test_naming_the_uploads_in_two_ways_is_refused() -> None:
    code, printed = command("--prefix", "a", "--failed-of", "b")

    assert code == 2
    assert "in one way only" in printed


@pytest.mark.usefixtures("deployment")
def test_lines_that_are_left_out_are_counted_and_change_no_exit_code() -> None:
    lines = "a.json\nb.csv\nc\n= d.json\n"

    code, printed = command("--dry-run", "--files-from", "-", lines=lines)

    assert code == 0
    assert "lines left out 2: their keys do not end in .json\n" in printed
    assert "lines left out 1: their state is neither + nor *\n" in printed
    assert "uploads to check 1\n" in printed


@pytest.mark.usefixtures("deployment")
def test_if_all_lines_are_left_out_the_reason_is_printed_before_the_error() -> None:
    code, printed = command("--json", "--files-from", "-", lines="a.csv\n")

    *_, left_out, error = map(json.loads, printed.partition("Error:")[0].splitlines())
    assert code == 1
    assert left_out == {"lines_left_out": 1, "why": "their keys do not end in .json"}
    assert error == {"error": "No key is left to replay."}


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize(
    ("during", "state"),
    [("watch", "keeps running"), ("report", "has ended")],
)
def test_ctrl_c_says_whether_the_run_goes_on_and_how_to_see_its_report(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch, during: str, state: str
) -> None:
    monkeypatch.setattr(f"infra.ops.cli.replay.{during}", interrupted)

    done = CliRunner().invoke(replay_command, ["--stage", "local", "--prefix", new_key()])

    assert done.exit_code == 1
    (name,) = re.findall(rf"Error: (\S+) {state}\.", done.output)
    assert f"python -m infra.ops replay --stage local --watch {name}" in done.output
    assert watch(machine, name).status == "SUCCEEDED"
