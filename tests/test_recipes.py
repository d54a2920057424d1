"""What the README says one does to change something, done literally, in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import ROOT
from infra.ops.stage import Stage
from infra.ops.tools import terraform
from tests.readme import block

PARTS = ("app.py", "chalicelib", ".chalice", "infra")

# Runs in the copy: a document by way of the extraction and of the API.
TRY = """
import json, sys, warnings
warnings.simplefilter("ignore")
from chalice.test import Client
import app
from chalicelib.extraction import REVISION, extract
from infra.ops.commands.openapi import describe

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
    "required": describe()["components"]["schemas"]["Record"]["required"],
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
    return tmp_path


def run(checkout: Path, *command: str, text: str = "", **environment: str) -> str:
    env = {**os.environ, **environment}
    done = subprocess.run(
        command, input=text, cwd=checkout, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tried(checkout: Path, records: list[dict[str, str]]) -> dict[str, Any]:
    env = {**local_stage.environment(), "PYTHONPATH": str(checkout)}
    said = run(checkout, sys.executable, "-c", TRY, text=json.dumps(records), **env)
    return dict(json.loads(said.splitlines()[-1]))


def test_one_line_extracts_one_more_field(checkout: Path) -> None:
    complete = {"patient_id": "A", "patient_name": "B", "scan_date": "2026-11-23"}
    incomplete = {"patient_id": "C", "patient_name": "D"}
    before = tried(checkout, [complete, incomplete])
    records = checkout / "chalicelib" / "records.py"
    last = "    patient_name: str\n"

    records.write_text(records.read_text().replace(last, last + block("    scan_date: str").text))
    after = tried(checkout, [complete, incomplete])

    reason = {"index": 1, "reason": "scan_date: missing"}
    assert after["processed"] == after["answer"]["records"] == [complete]
    assert after["rejected"] == [{**reason, "record": incomplete}]
    assert after["answer"]["rejected"] == [reason]
    assert after["required"] == [*before["required"], "scan_date"]
    assert after["revision"] != before["revision"]


def test_two_files_and_a_block_make_a_stage(checkout: Path) -> None:
    copy = block("for file in tfvars s3.tfbackend; do").text
    config = checkout / ".chalice" / "config.json"

    run(checkout, "/bin/sh", "-e", text=copy)
    settings = json.loads(config.read_text())
    settings["stages"]["staging"] = settings["stages"]["dev"]
    config.write_text(json.dumps(settings))

    told = "from infra.ops.stage import Stage; s = Stage('staging'); print(s.region, s.state_region)"
    dev = Stage("dev")
    assert run(checkout, sys.executable, "-c", told) == f"{dev.region} {dev.state_region}\n"
    assert 'stage  = "staging"' in (checkout / "infra/env/staging.tfvars").read_text()


@pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not installed")
def test_five_lines_of_a_stages_file_say_how_long_all_is_kept(checkout: Path) -> None:
    variables = checkout / "infra" / "env" / "dev.tfvars"
    lines = block("log_retention_days      = 30").text
    kept = [line for line in variables.read_text().splitlines() if line.split(" ")[0] not in lines]

    variables.write_text("\n".join([*kept, lines]))
    made = make(checkout, variables)

    assert re.findall(r" retention_in_days += (\d+)", made) == ["30", "30"]
    assert sorted(re.findall(r" noncurrent_days += (\d+)", made)) == ["1", "365", "365"]
    assert sorted(re.findall(r" days += (\d+)", made)) == ["3650", "60", "730"]


@pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not installed")
def test_where_no_line_says_so_only_rejected_records_expire(checkout: Path) -> None:
    made = make(checkout, ROOT / "infra" / "env" / "dev.tfvars")

    assert re.findall(r" days += (\d+)", made) == ["0", "0", "14"]  # 0 is Terraform's word for never


def make(checkout: Path, variables: Path) -> str:
    env = {"TF_DATA_DIR": str(checkout / "data"), "CHECKPOINT_DISABLE": "1"}
    root = ("terraform", "-chdir=infra")
    options = ["-test-directory=env", *terraform.init_options(os.environ)]
    run(checkout, *root, "init", "-backend=false", "-lockfile=readonly", *options, **env)
    test = ("test", "-no-color", "-verbose", "-test-directory=env", f"-var-file={variables}")
    return run(checkout, *root, *test, **env)
