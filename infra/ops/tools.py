"""Other programs: run in the background of a step, their words kept for when they fail."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from infra.ops.cloud import ROOT, die_with_parent


class ToolError(Exception):
    """A program is missing or failed; carries what it said and what to do."""


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a program to its end; returns what it printed, ToolError if it failed."""
    if not shutil.which(command[0]):
        raise ToolError(f"{command[0]} is not installed, or not on the PATH.")
    # Files, not pipes: should this process be killed, the program can still say so and end in good order.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        status = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=False,
            preexec_fn=die_with_parent,
        ).returncode
        printed, said = _read(out), _read(err)
    if status:
        raise ToolError(f"{' '.join(map(str, command))} failed:\n{printed[-4000:]}\n{said[-4000:]}".rstrip())
    return printed


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip()
