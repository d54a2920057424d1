"""`check` gives the verdict of an upload, and shows no values of records."""

import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from infra.ops.commands.check import Verdict, verdict_on
from infra.ops.local.cloud import ROOT
from tests.deployment import Deployment
from tests.reference import extraction, reference

CASES = sorted((ROOT / "samples").glob("*/*.json"))
RECORD = '{"patient_id":"A","patient_name":"B"}'


def check(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "infra.ops", "check", *arguments]
    return subprocess.run(command, input=text, cwd=ROOT, capture_output=True, check=False)


def verdict_of(path: Path, document: str | bytes) -> Verdict:
    path.write_bytes(document if isinstance(document, bytes) else document.encode())
    with path.open("rb") as file:
        return verdict_on(path.name, file)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_sample_has_the_verdict_of_its_upload(case: Path) -> None:
    with case.open("rb") as file:
        verdict = verdict_on(case.name, file)
    expected = extraction([case.read_bytes()])

    assert (verdict.extracted, verdict.rejected) == expected.counts
    assert bool(verdict.malformed) == (case.parent.name == "invalid")
    assert verdict.empty == (case.parent.name == "empty")
    assert sum(found.count for found in verdict.reasons.values()) == verdict.rejected
    if verdict.malformed:
        assert (verdict.malformed.reason, verdict.malformed.offset) == (expected.refused, expected.offset)


def test_the_first_record_of_each_reason_is_shown_by_index_and_line(tmp_path: Path) -> None:
    many = f"[{RECORD},\n" + f"{RECORD},\n" * 20_000 + '{"patient_id":1},\n\n 7,{},"7",{"patient_id":2}]'

    verdict = verdict_of(tmp_path / "many.json", many)

    assert {reason: (found.count, found.index, found.line) for reason, found in verdict.reasons.items()} == {
        "patient_id: not a string; patient_name: missing": (2, 20_001, 20_002),
        "record: not an object": (2, 20_002, 20_004),
        "patient_id: missing; patient_name: missing": (1, 20_003, 20_004),
    }


@pytest.mark.parametrize("opening", ["", "\N{BYTE ORDER MARK}"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lines_are_counted_in_the_decoded_text(tmp_path: Path, opening: str, encoding: str) -> None:
    lines = f'{opening}{RECORD}\n{RECORD}\n{{"patient_id":"\\ud83d","x":NaN}}\n{{"broken\n{RECORD}\n'

    verdict = verdict_of(tmp_path / "lines.json", lines.encode(encoding))

    assert verdict.reasons["patient_name: missing"].line == 3
    assert verdict.reasons["not JSON"].line == 4


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ikerian_sample.json", 0),
        ("empty/nothing-yet.json", 0),
        ("valid/some-rejected.json", 3),
        ("refused/numeric-ids.json", 3),
        ("invalid/truncated.json", 4),
    ],
)
def test_the_exit_code_says_whether_records_would_be_rejected(name: str, code: int) -> None:
    document = (ROOT / "samples" / name).read_bytes()

    done = check("-", text=document)

    assert done.returncode == code, done.stderr
    assert reference(document).counts[0] == 0 or b" extracted" in done.stdout


def test_for_several_files_all_verdicts_are_shown_and_the_worst_is_the_exit_code() -> None:
    done = check(
        "samples/ikerian_sample.json", "samples/invalid/truncated.json", "samples/valid/no-records.json"
    )

    assert done.returncode == 4
    assert len(done.stdout.splitlines()) == 4


def test_a_missing_file_is_an_error_without_a_traceback() -> None:
    done = check("nowhere.json")

    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_the_text_shows_the_bytes_around_an_error_and_json_does_not() -> None:
    document = b'[{"patient_id":"CANARY"},{]'

    shown, as_json = check("-", text=document), check("--json", "-", text=document)

    assert b"CANARY" in shown.stdout
    assert b"CANARY" not in as_json.stdout
    (verdict,) = json.loads(as_json.stdout)
    assert verdict["malformed"] == {"reason": "not JSON", "offset": 26}


def test_no_value_is_shown_of_a_rejected_record() -> None:
    done = check("-", text=b'[{"patient_id":"CANARY","patient_name":7},"CANARY"]')

    assert done.returncode == 3
    assert b"CANARY" not in done.stdout + done.stderr


def test_an_object_in_a_bucket_can_be_checked(deployment: Deployment) -> None:
    sample = (ROOT / "samples" / "valid" / "some-rejected.json").read_bytes()
    boto3.client("s3").put_object(Bucket=deployment.raw, Key="a #?/b ü.unannounced", Body=sample)

    done = check(f"s3://{deployment.raw}/a #?/b ü.unannounced", "--json")

    (verdict,) = json.loads(done.stdout)
    assert done.returncode == 3
    assert verdict["rejected"] == 6
