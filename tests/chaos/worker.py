"""A worker as Lambda has one: a process that imports the application once and handles event after event."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from infra.ops.cloud import ROOT
from tests.events import CONTEXT

REMAINING = 15 * 60 * 1000  # milliseconds, as long as a function may have


class Memory(NamedTuple):
    """Of a process, in MB: what it takes now, and the most that it ever took."""

    resident: float
    peak: float


class Worker:
    """The process, from outside."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def handle(self, event: dict[str, Any]) -> Memory:
        """Have an event handled; raises ValueError with what the worker says instead, if it fails."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(event), file=self._process.stdin, flush=True)
        return Memory(*json.loads(self._process.stdout.readline()))


@contextmanager
def worker(**environment: str) -> Iterator[Worker]:
    """Run a worker that has exactly this environment."""
    command = [sys.executable, "-m", "tests.chaos.worker"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield Worker(process)
        finally:
            process.terminate()


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the application's log is not for who waits for answers
    from app import data_processor  # noqa: PLC0415 - it reads its environment, and gets hold of stdout

    context = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: REMAINING)
    for line in sys.stdin:
        data_processor(json.loads(line), context)
        print(json.dumps([memory("VmRSS"), memory("VmHWM")]), file=answers, flush=True)


def memory(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
