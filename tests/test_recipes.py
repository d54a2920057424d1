"""The recipes of the pages for common changes, run literally in a copy of the project.

The copy starts with the contract below, so a change of the project's own contract breaks no test here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator

from chalicelib import records
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import ROOT
from infra.ops.stage import Stage
from infra.ops.tools import terraform
from tests.readme import block

PARTS = ("app.py", "chalicelib", ".chalice", "infra")

CONTRACT = """
import datetime as dt
from typing import Annotated

from msgspec import Meta, Struct

Text = Annotated[str, Meta(pattern=r"\\S")]
Date = dt.date


class PatientRecord(Struct, kw_only=True):
    patient_id: Text
    patient_name: Text


class ScanRecord(PatientRecord, kw_only=True):
    \"""The checked fields.\"""


RECORDS_KEY: str | None = None
"""

# Runs in the copy: sends a document through the extraction and through the API.
TRY = """
import json, sys, warnings
warnings.simplefilter("ignore")
from chalice.test import Client
import app
from chalicelib.extraction import REVISION, extract
from infra.ops.commands.openapi import describe
from infra.ops.commands.schema import schema

document = sys.stdin.buffer.read()
processed, rejected = bytearray(), bytearray()
extract([document], processed.extend, rejected.extend)
with Client(app.app, stage_name="local") as client:
    headers = {"Content-Type": "application/json"}
    answer = client.http.post("/process", body=document, headers=headers).json_body
print(json.dumps({
    "processed": json.loads(processed),
    "rejected": [json.loads(line) for line in rejected.splitlines()],
    "answer": answer,
    "openapi": describe(),
    "schema": schema(),
    "revision": REVISION,
}))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", ".terraform", "*.tfstate*", "deployed", "deployments")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "chalicelib" / "records.py").write_text(CONTRACT)
    return tmp_path


def run(checkout: Path, *command: str, text: str = "", **environment: str) -> str:
    env = {**os.environ, **environment}
    done = subprocess.run(
        command, input=text, cwd=checkout, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tried(checkout: Path, records: Any) -> dict[str, Any]:
    env = {**local_stage.environment(), "PYTHONPATH": str(checkout)}
    printed = run(checkout, sys.executable, "-c", TRY, text=json.dumps(records), **env)
    return dict(json.loads(printed.splitlines()[-1]))


class Edit(NamedTuple):
    """A new line of the contract, its neighbour or predecessor, a valid and a wrong value, and the reason."""

    line: str
    after: str
    value: Any
    wrong: Any
    reason: str
    replaces: bool = False
    published: bool = True

    @property
    def field(self) -> str:
        """The name of the field that the line declares."""
        return self.line.split(":")[0].strip()


NOTHING = "patient_id: missing; patient_name: missing"
NAME = "    patient_name: Text\n"
IDENTITY = "    patient_id: Text\n"
CHECKED = "class ScanRecord(PatientRecord, kw_only=True):\n"
EDITS = {
    "a pattern": Edit(
        '    patient_id: Annotated[str, Meta(pattern="^[A-Z][0-9]{5}$", max_length=6)]',
        IDENTITY,
        "A12345",
        "CANARY",
        "patient_id: does not match ^[A-Z][0-9]{5}$",
        replaces=True,
    ),
    "a maximum length": Edit(
        "    patient_name: Annotated[Text, Meta(max_length=20)]",
        NAME,
        "Ikerian A",
        "CANARY" * 4,
        "patient_name: length not <= 20",
        replaces=True,
    ),
    "an integer": Edit("    visit: int", NAME, 3, "CANARY", "visit: not an integer"),
    "a date": Edit("    scan_date: Date", NAME, "2026-11-23", "CANARY", "scan_date: not a date"),
    "an optional field": Edit(
        "    diagnosis: str | None = None", NAME, "drusen", 7, "diagnosis: not a string or null"
    ),
    "a checked field": Edit(
        "    retina_thickness_microns: Annotated[float, Meta(gt=0)]",
        CHECKED,
        250.5,
        -1,
        "retina_thickness_microns: not > 0.0",
        published=False,
    ),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_one_line_of_the_contract_changes_everything_derived_from_it(checkout: Path, edit: Edit) -> None:
    base = {"patient_id": "A12345", "patient_name": "Ikerian A"}
    good, bad = base | {edit.field: edit.value}, base | {edit.field: edit.wrong}
    before = tried(checkout, [good, bad])
    source = checkout / "chalicelib" / "records.py"
    contract = source.read_text()
    assert contract.count(edit.after) == 1

    source.write_text(contract.replace(edit.after, ("" if edit.replaces else edit.after) + edit.line + "\n"))
    blank = good | {"patient_name": " "}
    after = tried(checkout, [good, bad, blank])

    published = good if edit.published else base
    assert after["processed"] == after["answer"]["records"] == [published]
    assert after["rejected"] == [
        {"index": 1, "reason": edit.reason, "record": bad},
        {"index": 2, "reason": "patient_name: blank", "record": blank},
    ]
    assert after["answer"]["rejected"][0] == {"index": 1, "reason": edit.reason}
    assert "CANARY" not in edit.reason
    for described in (after["schema"]["$defs"], after["openapi"]["components"]["schemas"]):
        assert edit.field in described["ScanRecord"]["properties"]
        assert (edit.field in described["PatientRecord"]["properties"]) == edit.published
    assert after["schema"] != before["schema"]
    assert after["openapi"] != before["openapi"]
    assert after["revision"] != before["revision"]
    assert accepts(after["schema"], [good])
    # By default, JSON Schema validators ignore formats.
    assert edit.field == "scan_date" or not accepts(after["schema"], [bad])


def test_a_constraint_on_text_holds_for_every_field_of_that_type(checkout: Path) -> None:
    record = {"patient_id": "A12345", "patient_name": "Ikerian A"}
    source = checkout / "chalicelib" / "records.py"
    pattern = r'Meta(pattern=r"\S")'
    assert source.read_text().count(pattern) == 1

    source.write_text(source.read_text().replace(pattern, r'Meta(pattern=r"\S", max_length=20)'))
    after = tried(checkout, [record, *({**record, field: "x" * 21} for field in record)])

    assert after["processed"] == [record]
    assert [one["reason"] for one in after["rejected"]] == [f"{field}: length not <= 20" for field in record]


@pytest.mark.parametrize("field", ["patient_id", "patient_name"])
def test_a_text_has_no_maximum_length_unless_the_contract_sets_one(checkout: Path, field: str) -> None:
    record = {"patient_id": "P-1", "patient_name": "Ada"} | {field: "x" * 10_000}

    assert tried(checkout, record)["processed"] == [record]


def test_the_projects_contract_has_every_name_that_the_recipes_use() -> None:
    used = set(re.findall(r"^(?:class )?([A-Z]\w+)", CONTRACT, re.MULTILINE))

    assert used <= vars(records).keys()


def test_the_lines_that_the_page_shows_are_tried() -> None:
    page = (ROOT / "chalicelib" / "README.md").read_text().partition("\n## Change the contract\n")[2]
    shown = re.findall(r"^\| `(\w+: .+?)` \|", page, re.MULTILINE)

    assert len(shown) >= 4
    assert {line.replace(r"\|", "|") for line in shown} <= {edit.line.strip() for edit in EDITS.values()}


def test_an_optional_field_may_be_missing_and_a_required_one_may_not(checkout: Path) -> None:
    incomplete = {"patient_id": "A12345", "patient_name": "Ikerian A"}
    source = checkout / "chalicelib" / "records.py"
    line = block("    scan_date: Date").text

    source.write_text(source.read_text().replace(NAME, NAME + line + EDITS["an optional field"].line + "\n"))
    after = tried(checkout, [incomplete, incomplete | {"scan_date": "2026-11-23"}])

    assert after["rejected"] == [{"index": 0, "reason": "scan_date: missing", "record": incomplete}]
    assert after["processed"] == [incomplete | {"scan_date": "2026-11-23", "diagnosis": None}]


def test_the_pattern_of_the_page_accepts_no_line_break_and_no_other_digits(checkout: Path) -> None:
    edit, records = EDITS["a pattern"], checkout / "chalicelib" / "records.py"
    wrong = ["A12345\n", "A1234\N{ARABIC-INDIC DIGIT FIVE}"]

    records.write_text(records.read_text().replace(edit.after, edit.line + "\n"))
    after = tried(checkout, [{"patient_id": each, "patient_name": "Ada"} for each in [edit.value, *wrong]])

    assert [one["reason"] for one in after["rejected"]] == ["patient_id: length not <= 6", edit.reason]
    assert not accepts(after["schema"], [{"patient_id": wrong[0], "patient_name": "Ada"}])


def test_a_value_that_the_fast_parser_refuses_is_rejected_alone_in_a_field_of_any_type(
    checkout: Path,
) -> None:
    records = checkout / "chalicelib" / "records.py"
    lines = "    scan_date: Date\n    eye: Any = None\n"
    good: dict[str, Any] = {
        "patient_id": "A12345",
        "patient_name": "Ikerian A",
        "scan_date": "2026-11-23",
        "eye": ["OD"],
    }
    half, not_a_number = "CANARY\ud83d", float("nan")
    wrong: list[dict[str, Any]] = [
        {"scan_date": half},
        {"scan_date": not_a_number},
        {"eye": [half, not_a_number]},
    ]

    contract = records.read_text().replace("import Annotated", "import Annotated, Any")
    records.write_text(contract.replace(NAME, NAME + lines))
    after = tried(checkout, [good, *(good | each for each in wrong), good | {"eye": half}])

    assert after["processed"] == [good, good | {"eye": half}]
    assert [(one["index"], one["reason"]) for one in after["rejected"]] == [
        (1, "scan_date: not a date"),
        (2, "scan_date: not a date"),
        (3, "eye: contains an unusable number"),
    ]


def test_records_under_a_key_are_found_if_the_contract_names_the_key(checkout: Path) -> None:
    record = {"patient_id": "A12345", "patient_name": "Ikerian A"}
    source = checkout / "chalicelib" / "records.py"
    setting = "RECORDS_KEY: str | None = None\n"
    assert source.read_text().count(setting) == 1

    source.write_text(source.read_text().replace(setting, setting.replace("None\n", '"patients"\n')))
    after = tried(checkout, {"site": "Bern", "patients": [record, {}], "count": 2})

    assert after["processed"] == [record]
    assert after["rejected"][0]["index"] == 1
    # A document is one object here: no hint says so.
    assert tried(checkout, {"patients": [{}]})["rejected"][0]["reason"] == NOTHING
    assert accepts(after["schema"], {"site": "Bern", "patients": [record]})
    assert not accepts(after["schema"], {"patients": [{}]})


def accepts(schema: dict[str, Any], document: Any) -> bool:
    return Draft202012Validator(schema).is_valid(document)


def test_two_files_and_a_block_make_a_stage(checkout: Path) -> None:
    copy = block("for file in tfvars s3.tfbackend; do").text
    config = checkout / ".chalice" / "config.json"

    run(checkout, "/bin/sh", "-e", text=copy)
    settings = json.loads(config.read_text())
    settings["stages"]["staging"] = settings["stages"]["dev"]
    config.write_text(json.dumps(settings))

    program = "from infra.ops.stage import Stage; s = Stage('staging'); print(s.region, s.state_region)"
    dev = Stage("dev")
    assert run(checkout, sys.executable, "-c", program) == f"{dev.region} {dev.state_region}\n"
    assert 'stage  = "staging"' in (checkout / "infra/env/staging.tfvars").read_text()


@pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not installed")
def test_five_lines_of_a_stages_file_set_all_retention(checkout: Path) -> None:
    variables = checkout / "infra" / "env" / "dev.tfvars"
    lines = block("log_retention_days      = 30").text
    kept = [line for line in variables.read_text().splitlines() if line.split(" ")[0] not in lines]

    variables.write_text("\n".join([*kept, lines]))
    planned = plan(checkout, variables)

    assert re.findall(r" retention_in_days += (\d+)", planned) == ["30", "30"]
    assert lifecycles(planned) == {
        "raw": ["365", "730"],
        "processed": ["365", "3650"],
        "rejected": ["1", "60"],
        "operations": ["1", "30"],
    }


@pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not installed")
def test_by_default_logs_are_kept_for_14_days_and_neither_uploads_nor_published_objects_expire(
    checkout: Path,
) -> None:
    planned = plan(checkout, ROOT / "infra" / "env" / "dev.tfvars")

    assert re.findall(r" retention_in_days += (\d+)", planned) == ["14", "14"]
    # Terraform writes 0 for never.
    assert lifecycles(planned) == {
        "raw": ["30", "0"],
        "processed": ["30", "0"],
        "rejected": ["1", "14"],
        "operations": ["1", "30"],
    }


def lifecycles(planned: str) -> dict[str, list[str]]:
    """Return the days that each bucket keeps replaced versions, and objects."""
    rules = re.findall(
        r"^# module\.(\w+)_bucket\.aws_s3_bucket_lifecycle_configuration\.this:\n(.+?)^}",
        planned,
        re.MULTILINE | re.DOTALL,
    )
    return {bucket: re.findall(r" (?:noncurrent_)?days += (\d+)", text) for bucket, text in rules}


def plan(checkout: Path, variables: Path) -> str:
    env = {"TF_DATA_DIR": str(checkout / "data"), "CHECKPOINT_DISABLE": "1"}
    root = ("terraform", "-chdir=infra")
    options = ["-test-directory=env", *terraform.init_options(os.environ)]
    run(checkout, *root, "init", "-backend=false", "-lockfile=readonly", *options, **env)
    test = ("test", "-no-color", "-verbose", "-test-directory=env", f"-var-file={variables}")
    return run(checkout, *root, *test, **env)
