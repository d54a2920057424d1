"""`chalice deploy` refuses a stage that is not configured, instead of creating a second one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.ops.local.cloud import ROOT

CHALICE = [sys.executable, "-c", "import sys; from chalice.cli import main; sys.exit(main())"]
DEPLOYED = Path(".chalice", "deployed", "dev.json")
REGION = "eu-north-1"
CONFIGURED = {
    "RAW_BUCKET": "raw",
    "PROCESSED_BUCKET": "processed",
    "REJECTED_BUCKET": "rejected",
    "STAGE": "dev",
    "STAGE_REGION": REGION,
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "app.py", tmp_path)
    shutil.copytree(ROOT / "chalicelib", tmp_path / "chalicelib")
    (tmp_path / ".chalice").mkdir()
    settings = {"version": "2.0", "app_name": "app", "stages": {"dev": {}}}
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps(settings))
    return tmp_path


def configure(clone: Path, *, deployed: bool) -> None:
    """Write what `configure` writes; without `deployed`, only what is in version control."""
    config = clone / ".chalice" / "config.json"
    settings = json.loads(config.read_text())
    settings["stages"]["dev"]["environment_variables"] = CONFIGURED
    config.write_text(json.dumps(settings))
    if deployed:
        (clone / DEPLOYED).parent.mkdir()
        (clone / DEPLOYED).write_text('{"resources": [], "schema_version": "2.0", "backend": "api"}')


def deploy(clone: Path, region: str = REGION) -> str:
    """Run `chalice deploy` with an endpoint that does not answer; returns the last line of its error."""
    env = {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "HOME": str(clone),
    }
    command = [*CHALICE, "deploy", "--stage", "dev"]
    done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False)
    assert done.returncode
    return done.stderr.strip().splitlines()[-1]


def test_the_error_of_a_stage_that_is_not_configured_says_how_to_configure_it(clone: Path) -> None:
    assert deploy(clone).endswith(
        "RAW_BUCKET is not set; PROCESSED_BUCKET is not set; REJECTED_BUCKET is not set; "
        "first run `python -m infra.ops configure --stage <stage>` and follow what it prints"
    )


def test_without_the_file_of_what_is_deployed_no_second_api_is_created(clone: Path) -> None:
    configure(clone, deployed=False)

    assert deploy(clone).endswith(
        f"{DEPLOYED} is missing, so Chalice would make a second API; "
        "first run `python -m infra.ops configure --stage dev` and follow what it prints"
    )


def test_no_second_stage_is_created_in_another_region(clone: Path) -> None:
    configure(clone, deployed=True)

    assert f"InvalidSettingsError: AWS_DEFAULT_REGION is not {REGION}; first run" in deploy(
        clone, "us-west-1"
    )


def test_a_configured_stage_is_deployed(clone: Path) -> None:
    configure(clone, deployed=True)

    assert "Could not connect to the endpoint URL" in deploy(clone)
