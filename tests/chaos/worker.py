"""A worker like one of Lambda: a process that imports the application once and handles many events."""

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from infra.ops.local.cloud import ROOT
from tests.events import CONTEXT


class Memory(NamedTuple):
    """Memory of a process in MB: now, and at its peak."""

    resident: float
    peak: float


class FailedError(Exception):
    """The worker failed to handle an event, or was killed. The message has its error."""


class Worker:
    """Controls the process. It runs in exactly this environment and logs to `log`."""

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
        """Send an event and wait for the result; raises FailedError."""
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
        """Kill the process."""
        self._process.kill()


def main() -> None:
    results, sys.stdout = sys.stdout, sys.stderr  # the log must not be mixed with the results
    from app import data_processor  # noqa: PLC0415 - importing it reads the environment and uses stdout

    for line in sys.stdin:
        error = None
        try:
            data_processor(json.loads(line), CONTEXT)
        except Exception as failure:  # noqa: BLE001 - Lambda logs and returns any error
            traceback.print_exc()
            error = f"{type(failure).__name__}: {failure}"
        print(json.dumps([error, [memory("VmRSS"), memory("VmHWM")]]), file=results, flush=True)


def memory(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
