"""`make run` and `make up`, each in its own process, ended in every way."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.ops.local.cloud import LOCAL, ROOT
from infra.ops.tools.run import runs
from tests.readme import block, is_shown

COMMAND = [sys.executable, "-m", "infra.ops", "local"]
ENDS_WITHIN = 30  # seconds
# The first line of the README's block.
OUTCOMES = "  under samples/                      outcome                               ms"


def folders(process: int) -> list[Path]:
    """Return the folders of a process's local cloud, which are removed with the cloud."""
    return list(LOCAL.glob(f"run-{process}-*"))


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], Path, str]]:
    """Run `make up` until it is ready; yields the process, its cloud's folder, and its output."""
    with subprocess.Popen(
        [*COMMAND, "--keep"], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output = read_until_ready(process)
            (folder,) = folders(process.pid)
            yield process, folder, output
        finally:
            process.kill()


def read_until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "--data-binary" in line:  # the last line that it prints
            break
    return "".join(lines)


def leftovers(folder: Path) -> list[str]:
    """Return the command lines of processes whose working directory is in a cloud's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def await_end(folder: Path) -> None:
    deadline = time.monotonic() + ENDS_WITHIN
    while leftovers(folder) and time.monotonic() < deadline:
        time.sleep(0.1)


def test_a_run_shows_the_outcome_of_every_sample_and_leaves_nothing() -> None:
    with subprocess.Popen(
        COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        printed, _ = process.communicate()

    assert process.returncode == 0, printed
    for path in (ROOT / "samples").rglob("*.json"):
        assert re.search(expected_row(path), printed, re.MULTILINE), path
    assert '{"patient_id":"B67890","patient_name":"Ikerian B"}\n]' in printed
    assert "signed, with samples/ikerian_sample.json: 200" in printed
    assert is_shown(block(OUTCOMES).text, printed)
    assert not folders(process.pid)


def expected_row(path: Path) -> str:
    """Return a pattern of a sample's row in the table, from the expected files beside the sample."""
    published, rejected = path.with_suffix(".processed"), path.with_suffix(".rejected")
    lines = len(rejected.read_text().splitlines()) if rejected.exists() else 0
    words = {
        "invalid": "malformed: .*",
        "refused": f"refused: none of {lines} is valid",
        "empty": "empty: .*",
    }
    records = (
        len(json.loads(published.read_text())) if published.exists() else 2 * (path.parent.name == "samples")
    )
    noun = "record" if records == 1 else "records"
    outcome = words.get(
        path.parent.name, f"published: {records} {noun}" + f", {lines} rejected" * bool(lines)
    )
    key = re.escape(str(path.relative_to(ROOT / "samples")))
    return rf"^ +{key} +{outcome} +\d+ *$"


def test_the_printed_lines_can_be_pasted() -> None:
    with running() as (_, _, output):
        printed = output[output.index("export ") :].splitlines()
        # Without the aws CLI, the lines for curl still work.
        lines = [line for line in printed if runs("aws") or not line.startswith("aws ")]
        script = "\n".join(lines)
        result = subprocess.run(
            ["/bin/sh", "-ec", script], cwd=ROOT, capture_output=True, text=True, check=False
        )

    assert result.returncode == 0, result.stderr
    assert '"counts":{"extracted":2,"rejected":0}' in result.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(how: signal.Signals) -> None:
    with running() as (process, folder, _):
        assert leftovers(folder)
        process.send_signal(how)
        process.wait(ENDS_WITHIN)

    assert not leftovers(folder)
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_a_killed_run_leaves_no_process() -> None:
    with running() as (process, folder, _):
        assert leftovers(folder)
        process.kill()
        await_end(folder)

    assert not leftovers(folder)
    shutil.rmtree(folder)  # as the next run would
