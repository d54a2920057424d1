"""Other programs: how they are started and interrupted, and how their failures are reported."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from infra.ops.local.cloud import ROOT
from infra.ops.tools import chalice
from infra.ops.tools.run import ToolError, run


def test_chalice_can_be_started_without_a_local_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    assert " 1.34.0, python 3.12" in run([*chalice.command(), "--version"])


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ToolError, match="no-such-program is not installed"):
        run(["no-such-program"])


def test_the_output_of_a_failing_program_is_reported() -> None:
    with pytest.raises(ToolError, match=r"(?s)failed:.*out.*err"):
        run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])


def test_ctrl_c_is_passed_on_once_and_the_program_may_finish(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    program = textwrap.dedent(f"""
        import signal, time
        notes = open({str(notes)!r}, "a", buffering=1)
        signal.signal(signal.SIGINT, lambda *_: notes.write("interrupted\\n"))
        notes.write("started\\n")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            time.sleep(0.1)
        notes.write("finished\\n")
    """)
    # As the command line does, because a shell ignores SIGINT for background jobs.
    handle_sigint = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    caller = f"{handle_sigint}; from infra.ops.tools.run import run; run([sys.executable, '-c', {program!r}])"

    with subprocess.Popen([sys.executable, "-c", caller], cwd=ROOT, start_new_session=True) as process:
        while not notes.exists() or "started" not in notes.read_text():
            pass
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does

    assert notes.read_text().splitlines() == ["started", "interrupted", "finished"]
