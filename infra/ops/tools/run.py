"""Run other programs; their output is shown only if they fail."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from infra.ops.errors import OperatorError
from infra.ops.local.cloud import ROOT


class ToolError(OperatorError):
    """A program is missing or failed. The message has its output, and what to do."""


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a program until it ends; returns its standard output, or raises ToolError."""
    if not shutil.which(command[0]):
        raise ToolError(f"{command[0]} is not installed, or not on the PATH.")
    # Files, not pipes: if this process is killed, the program can still write, and ends in good order.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,  # so that Ctrl-C reaches it once, from us: Terraform aborts at the second
        )
        status = _await_end(process)
        output, errors = _read(out), _read(err)
    if status:
        raise ToolError(f"{' '.join(map(str, command))} failed:\n{output[-4000:]}\n{errors[-4000:]}".rstrip())
    return output


def runs(program: str) -> bool:
    """Say whether a program is installed and works. A pyenv shim on the PATH may exist and still fail."""
    with suppress(OSError):
        return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    return False


def _await_end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait()
    except BaseException:
        # Let it finish: Terraform has to write its state and to release its lock.
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip()
