"""On a machine that lacks a tool, one line of output says what to do."""

import shutil
import subprocess
from pathlib import Path

import pytest

from infra.ops.local.cloud import ROOT
from infra.ops.tools.run import runs

SHELL = ("make", "sh", "test", "echo", "mkdir", "touch", "grep", "sed", "expand")
# The output of a pyenv shim whose version is not installed.
FAILING_SHIM = "#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Make a project, and a PATH with the tools that make needs but without Python."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "requirements-local.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in SHELL:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def make(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine / "bin"), "HOME": str(machine)}
    command = [str(machine / "bin" / "make"), "SHELL=" + str(machine / "bin" / "sh"), *arguments]
    return subprocess.run(command, cwd=machine, env=environment, capture_output=True, text=True, check=False)


def install(machine: Path, name: str, script: str) -> None:
    (machine / "bin" / name).write_text(script)
    (machine / "bin" / name).chmod(0o755)


def test_without_python_make_says_which_version_is_needed(machine: Path) -> None:
    done = make(machine, "check")

    assert done.returncode != 0
    assert "Python 3.12 is needed" in done.stdout
    assert "command not found" not in done.stdout + done.stderr


def test_a_failing_shim_does_not_count_as_python(machine: Path) -> None:
    install(machine, "python3.12", FAILING_SHIM)
    install(machine, "python3", FAILING_SHIM)

    assert "make PYTHON=/path/to/python3.12" in make(machine, "check").stdout


def test_a_working_python_after_a_failing_shim_is_used(machine: Path) -> None:
    install(machine, "python3.12", FAILING_SHIM)
    install(machine, "python3", '#!/bin/sh\ncase "$1" in -c) exit 0 ;; esac\necho "started: $*"\nexit 1\n')

    assert "started: -m venv" in make(machine, "check").stdout


def test_a_failing_shim_does_not_count_as_the_aws_cli(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine / "bin"))
    assert not runs("aws")

    install(machine, "aws", FAILING_SHIM)
    assert not runs("aws")

    install(machine, "aws", "#!/bin/sh\necho aws-cli/2\n")
    assert runs("aws")


def test_format_without_terraform_says_so(machine: Path) -> None:
    (machine / ".venv" / "bin").mkdir(parents=True)
    for tool in ("ruff",):
        (machine / ".venv" / "bin" / tool).symlink_to(machine / "bin" / "echo")
    (machine / ".venv" / "ready").touch()

    assert "No terraform here" in make(machine, "format").stdout
