"""A worker as Lambda has one: a process that imports the application once and handles event after event."""

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from infra.ops.local.cloud import ROOT
from tests.events import CONTEXT


class Memory(NamedTuple):
    """Of a process, in MB: what it takes now, and the most that it ever took."""

    resident: float
    peak: float


class FailedError(Exception):
    """The worker could not handle an event, or died over it; says what it said."""


class Worker:
    """The process, from outside: it runs in exactly this environment, and writes its log there."""

    def __init__(self, environment: dict[str, str], log: IO[str]) -> None:
        command = [sys.executable, "-m", "tests.chaos.worker"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.communicate()

    def handle(self, event: dict[str, Any]) -> Memory:
        """Have an event handled; raises FailedError."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps(event), file=self._process.stdin, flush=True)
            error, memory = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, ValueError):
            raise FailedError("killed") from None
        if error:
            raise FailedError(error)
        return Memory(*memory)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the application's log is not for who waits for answers
    from app import data_processor  # noqa: PLC0415 - it reads its environment, and gets hold of stdout

    for line in sys.stdin:
        error = None
        try:
            data_processor(json.loads(line), CONTEXT)
        except Exception as failure:  # noqa: BLE001 - Lambda logs any, and answers with its words
            traceback.print_exc()
            error = f"{type(failure).__name__}: {failure}"
        print(json.dumps([error, [memory("VmRSS"), memory("VmHWM")]]), file=answers, flush=True)


def memory(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
