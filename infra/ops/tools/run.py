"""Other programs: run in the background of a step, their words kept for when they fail."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from infra.ops.errors import OperatorError
from infra.ops.local.cloud import ROOT


class ToolError(OperatorError):
    """A program is missing or failed; carries what it said and what to do."""


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a program to its end; returns what it printed, ToolError if it failed."""
    if not shutil.which(command[0]):
        raise ToolError(f"{command[0]} is not installed, or not on the PATH.")
    # Files, not pipes: should this process be killed, the program still comes to its end in good order.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,  # Ctrl-C is for us, to be passed on once: Terraform takes two for haste
        )
        status = _await_end(process)
        printed, said = _read(out), _read(err)
    if status:
        raise ToolError(f"{' '.join(map(str, command))} failed:\n{printed[-4000:]}\n{said[-4000:]}".rstrip())
    return printed


def _await_end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait()
    except BaseException:
        # It wants a moment: Terraform to note what it has made, and to give up its lock.
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip()
