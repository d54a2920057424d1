"""Compare our function with the usual one, from the event to the published object, and draw a chart.

python -m tests.benchmarks.whole [--rounds 3] [--picture]

S3 is simulated, with 90 MB/s a connection and 15 ms a request, unless a task says 0. The functions take
turns. Each runs in a fresh process with its own S3, in which nothing is published yet. Figures are medians.
Ratios are comparable between machines; seconds are not.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from samples.generate import collected, generate
from tests.benchmarks.benchmark import MB, ROOT, progress, table
from tests.benchmarks.picture import Bar, picture
from tests.benchmarks.stand_in import Large, Link, stand_in
from tests.events import s3_event

PICTURE = Path(__file__).with_name("whole.svg")
BUCKETS = {name.upper() + "_BUCKET": name for name in ("raw", "processed", "rejected")}
FUNCTIONS = ("ours", "usual")
WARM = "warm.json"
SMALL = 10_000  # bytes, as clinics send
ONE_BY_ONE, TOGETHER = "64 small objects, one an event", "64 small objects, one event"
LINKS = {"": Link(), ", 0 ms a request": Link(latency=0)}

type Handle = Callable[[list[str] | None], list[float]]
"""Sends an event about keys, or none; returns seconds, CPU seconds and peak memory in bytes."""


class Task(NamedTuple):
    """New objects, and the keys of each event about them. Without events, the task is the cold start."""

    objects: Mapping[str, bytes | Large]
    events: list[list[str]]
    functions: tuple[str, ...] = FUNCTIONS
    tls: bool = True
    link: Link = Link()

    @property
    def size(self) -> int:
        return sum(map(size_of, self.objects.values()))


class Run(NamedTuple):
    """What a function needed for a task: seconds, CPU seconds, bytes of memory, requests to S3."""

    seconds: float
    cpu: float
    peak: float
    requests: float


def scans(size: int) -> bytes:
    """Make flat scans of about `size` bytes in total, separated by commas."""
    array = b"".join(collected(generate("flat", size // 170, percent=0), size))
    return array.strip().removeprefix(b"[").removesuffix(b"]").strip()


def tasks() -> dict[str, Task]:
    small = b"[" + scans(SMALL) + b"]"
    many = {f"{number}.json": small for number in range(1000)}
    records = scans(MB)
    hundreds, gigabytes = (Large(records, size * MB // len(records)) for size in (200, 2000))
    return {
        "cold start and a first object": Task({}, []),
        "20 small objects, one an event": Task(dict(list(many.items())[:20]), batches(list(many)[:20], 1)),
        "1,000 small objects, 10 an event": Task(many, batches(list(many), 10)),
        "1,000 small objects, 100 an event": Task(many, batches(list(many), 100)),
        **together(dict(list(many.items())[:64])),
        "200 MB": Task({"large.json": hundreds}, [["large.json"]]),
        "200 MB, without TLS": Task({"large.json": hundreds}, [["large.json"]], tls=False),
        "2 GB": Task({"large.json": gigabytes}, [["large.json"]], functions=("ours",)),
    }


def together(objects: Mapping[str, bytes]) -> dict[str, Task]:
    """Make tasks that show what one event about all objects saves, with and without latency."""
    return {
        name + suffix: Task(objects, batches(list(objects), size), functions=("ours",), link=link)
        for suffix, link in LINKS.items()
        for name, size in {ONE_BY_ONE: 1, TOGETHER: 64}.items()
    }


def batches(keys: list[str], size: int) -> list[list[str]]:
    return [keys[at : at + size] for at in range(0, len(keys), size)]


def run(function: str, task: Task) -> Run:
    """Run a task in a fresh process. A first object warms it up, unless the task is the cold start."""
    warm = {WARM: b"[" + scans(SMALL) + b"]"}
    uploads = {**task.objects, **warm}
    with (
        stand_in({f"/raw/{key}": body for key, body in uploads.items()}, task.link, tls=task.tls) as s3,
        process(function, os.environ | BUCKETS | s3.environment, uploads) as handle,
    ):
        start = [handle(None), handle([WARM])]
        if task.events:
            s3.requests()
        figures = [handle(keys) for keys in task.events] or start
        seconds, cpu = (sum(figure[at] for figure in figures) for at in (0, 1))
        return Run(seconds, cpu, figures[-1][2], s3.requests().total())


@contextmanager
def process(
    function: str, environment: Mapping[str, str], uploads: Mapping[str, bytes | Large]
) -> Iterator[Handle]:
    """Start a function in a process; yields how to send it events."""
    command = [sys.executable, "-m", "tests.benchmarks.functions", function]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as running:

        def handle(keys: list[str] | None) -> list[float]:
            assert running.stdin
            assert running.stdout
            if keys:
                print(
                    json.dumps(event_of({key: size_of(uploads[key]) for key in keys})),
                    file=running.stdin,
                    flush=True,
                )
            figures: list[float] = json.loads(running.stdout.readline())
            return figures

        yield handle


def event_of(sizes: Mapping[str, int]) -> dict[str, Any]:
    """Make the event of objects that have just been uploaded. S3 tells their sizes, by which ours decides."""
    events = [s3_event(("raw", key), uploaded=time.time(), size=size) for key, size in sizes.items()]
    return {"Records": [record for event in events for record in event["Records"]]}


def size_of(upload: bytes | Large) -> int:
    return upload.size if isinstance(upload, Large) else len(upload)


def measure(named: Mapping[str, Task], rounds: int) -> dict[tuple[str, str], Run]:
    """Run each task with each function, in turns, `rounds` times; returns medians."""
    runs: dict[tuple[str, str], list[Run]] = {}
    for number in range(rounds):
        for name, task in named.items():
            for function in task.functions:
                progress(f"round {number + 1} of {rounds}: {name}, {function}")
                runs.setdefault((name, function), []).append(run(function, task))
    progress("")
    return {each: Run(*map(median, zip(*done, strict=True))) for each, done in runs.items()}


def row(name: str, task: Task, ours: Run, usual: Run | None) -> list[str]:
    """Format the result of a task as a table row."""
    gigabyte = f"{ours.cpu / task.size * 1e9:.1f}" if task.size >= 100 * MB else ""
    cells: list[Any] = [name, shown(ours.seconds), f"{ours.peak / MB:.0f}", f"{ours.requests:.0f}", gigabyte]
    if usual is None:
        return [*cells, "", "", "", ""]
    ratios = [f"{usual.seconds / ours.seconds:.2f}", f"{ours.cpu / usual.cpu:.2f}"]
    return [*cells, shown(usual.seconds), f"{usual.peak / MB:.0f}", *ratios]


def savings(runs: Mapping[tuple[str, str], Run]) -> list[list[str]]:
    """Format how many times as fast one event about 64 objects is as an event about each."""
    return [
        [TOGETHER + suffix, f"{one_by_one.seconds / runs[TOGETHER + suffix, 'ours'].seconds:.1f}"]
        for suffix in LINKS
        if (one_by_one := runs.get((ONE_BY_ONE + suffix, "ours")))
    ]


def shown(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--task", action="append", help="beginning of a task's name; all by default")
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.relative_to(ROOT)}")
    options = parser.parse_args()
    chosen = {name: task for name, task in tasks().items() if name.startswith(tuple(options.task or [""]))}
    runs = measure(chosen, options.rounds)
    pairs = {name: (runs[name, "ours"], runs.get((name, "usual"))) for name in chosen}
    head = ("", "ours", "peak MB", "requests", "CPU s/GB", "usual", "peak MB", "times as fast", "x its CPU")
    table(
        f"The whole way, over TLS unless it says so, median of {options.rounds} processes",
        head,
        [row(name, chosen[name], *pair) for name, pair in pairs.items()],
    )
    if saved := savings(runs):
        table("One event about 64 objects, beside an event about each", ("", "times as fast"), saved)
    if options.picture:
        bars = [
            Bar(name, usual.seconds / ours.seconds, ours.peak / MB)
            for name, (ours, usual) in pairs.items()
            if usual
        ]
        title = "From the event to the published object: times as fast as the usual function"
        PICTURE.write_text(picture(title, "15 ms a request, 90 MB/s a connection; peak memory beside", bars))


if __name__ == "__main__":
    main()
