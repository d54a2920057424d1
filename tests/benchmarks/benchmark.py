"""Compare the extraction with other ways to do the same job, and draw the result.

python -m tests.benchmarks.benchmark [--records 1000000] [--rounds 5] [--picture]

Every figure is the median of one fresh process a round. The contenders take turns, so that a busy minute
affects all of them. Ratios are comparable between machines, MB/s are not. Nothing else should run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from chalicelib.malformed import RECORD_LIMIT
from samples.generate import KINDS, collected, generate
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.picture import Bar, picture

ROOT = Path(__file__).parents[2]
PICTURE = Path(__file__).with_name("speed.svg")
MB = 1_000_000
LINES = ("duckdb, lines", "polars, lines")
# The usual program drops what is invalid. The other keeps it with index and reason, as the extraction does.
PEERS = ("stdlib", "stdlib, rejections kept")
PERCENT = (1, 50, 100)
# Shapes, and the approximate size of one of their records in bytes.
SHAPES = {
    "flat": 170,
    "pretty": 195,
    "nested": 800,
    "lines": 170,
    "hostile-braces": 3000,
    "hostile-copies": 3000,
    "hostile-order": 170,
    "hostile-escapes": 740,
    "hostile-abroad": 350,
    "hostile-tiny": 42,
    "hostile-gaps": 57,
    "hostile-surrogates": 63,
    "hostile-surrogates-abroad": 350,
    "hostile-numbers": 9,
    "hostile-empty": 4,
}
LARGEST = {
    "valid": b"",
    "half a pair": rb',"x":"\ud800"',
    "NaN": b',"x":NaN',
    "invalid": b',"patient_id":1',
    "not UTF-8": b',"patient_id":"\xff"',
}


class Run(NamedTuple):
    """One process: its time, its peak memory in bytes, and the version of the library."""

    seconds: float
    peak: int
    version: str


class Figure(NamedTuple):
    """The medians of a contender: its speed in MB/s, and its peak memory in MB."""

    speed: float
    peak: float
    version: str


def run(name: str, source: Path) -> Run:
    """Run a contender in a fresh process, on one core."""
    command = [sys.executable, "-m", "tests.benchmarks.contenders", name, str(source), os.devnull]
    environment = os.environ | {"POLARS_MAX_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return Run(**json.loads(done.stdout))


def measure(tasks: dict[str, tuple[str, Path]], rounds: int) -> dict[str, Figure]:
    """Run tasks (a contender and a source) in turns, once a round."""
    runs: dict[str, list[Run]] = {label: [] for label in tasks}
    for number in range(rounds):
        for label, (name, source) in tasks.items():
            progress(f"round {number + 1} of {rounds}: {label}")
            runs[label].append(run(name, source))
    progress("")
    return {label: figure(done, tasks[label][1].stat().st_size) for label, done in runs.items()}


def progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")


def figure(runs: list[Run], size: int) -> Figure:
    seconds = median(each.seconds for each in runs)
    return Figure(size / seconds / MB, median(each.peak for each in runs) / MB, runs[0].version)


def scans(folder: Path, shape: str, records: int, percent: float = 1) -> Path:
    """Generate an input, unless it exists."""
    path = folder / f"{shape}-{records}-{percent:g}.json"
    if not path.exists():
        with path.open("wb") as file:
            file.writelines(collected(generate(shape, records, percent=percent), 1 << 20))
    return path


def repeated(folder: Path, source: Path, times: int) -> Path:
    """Make one array that repeats the records of an array."""
    path = folder / f"{times}-times-{source.name}"
    records = source.read_bytes().strip().removeprefix(b"[").removesuffix(b"]")
    with path.open("wb") as file:
        file.write(b"[" + records)
        file.writelines(b",\n" + records for _ in range(times - 1))
        file.write(b"]\n")
    return path


def table(title: str, head: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table as Markdown."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    text = "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
    sys.stdout.write(f"\n{title}\n\n{text}\n")
    sys.stdout.flush()


def compare(folder: Path, records: int, rounds: int) -> list[Bar]:
    """Compare all contenders, on flat scans as an array or as JSON Lines."""
    array, lines = scans(folder, "flat", records), scans(folder, "lines", records)
    tasks = {name: (name, lines if name in LINES else array) for name in CONTENDERS}
    figures = measure(tasks | {"ours, lines": ("ours", lines)}, rounds)
    unit = figures["stdlib"].speed
    ranking = sorted(figures.items(), key=lambda item: -item[1].speed)
    table(
        f"{records:,} flat scans, {array.stat().st_size / MB:.0f} MB, median of {rounds} processes",
        ("", "version", "MB/s", "x stdlib", "peak MB"),
        [(n, f.version, f"{f.speed:.0f}", f"{f.speed / unit:.1f}", f"{f.peak:.0f}") for n, f in ranking],
    )
    return [Bar(name, each.speed / unit, each.peak) for name, each in ranking if name != "bare read"]


def shapes(folder: Path, records: int, rounds: int) -> None:
    """Compare the extraction with the standard library on every shape of input."""
    size = records * SHAPES["flat"] // 4
    inputs = {shape: scans(folder, shape, size // length) for shape, length in SHAPES.items()}
    figures = beside_peers(inputs, rounds, without={"lines"})
    clean = figures["flat ours"].speed
    rows = []
    for shape, source in inputs.items():
        ours = figures[f"{shape} ours"]
        size_in_mb = source.stat().st_size / MB
        ratios = f"{ours.speed / clean:.2f}", *(ratio(figures, shape, peer) for peer in PEERS)
        rows.append((shape, f"{size_in_mb:.0f}", f"{ours.speed:.0f}", *ratios, f"{ours.peak:.0f}"))
    head = ("shape", "MB", "MB/s", "x flat", *(f"x {peer}" for peer in PEERS), "peak MB")
    table(f"Shapes, median of {rounds} processes", head, rows)


def beside_peers(inputs: dict[str, Path], rounds: int, without: set[str]) -> dict[str, Figure]:
    """Measure the extraction on all inputs, and its peers on those that they can read."""
    tasks = {f"{name} ours": ("ours", source) for name, source in inputs.items()}
    tasks |= {
        f"{name} {peer}": (peer, source)
        for name, source in inputs.items()
        for peer in PEERS
        if name not in without
    }
    return measure(tasks, rounds)


def ratio(figures: dict[str, Figure], name: str, peer: str) -> str:
    theirs = figures.get(f"{name} {peer}")
    return f"{figures[f'{name} ours'].speed / theirs.speed:.2f}" if theirs else ""


def kinds(folder: Path, records: int, rounds: int) -> None:
    """Measure what each kind of invalid record costs."""
    records //= 4
    shapes = {"many": "dirty", **{kind: f"dirty-{kind}" for kind in KINDS}}
    inputs = {"clean": scans(folder, "flat", records)} | {
        f"{kind} {percent}": scans(folder, shape, records, percent)
        for kind, shape in shapes.items()
        for percent in PERCENT
    }
    figures = beside_peers(inputs, rounds, without={f"not-utf8 {percent}" for percent in PERCENT})
    clean = figures["clean ours"].speed
    rows = [
        (
            kind,
            *(f"{figures[f'{kind} {percent} ours'].speed / clean:.2f}" for percent in PERCENT),
            *(ratio(figures, f"{kind} {percent}", peer) for peer in PEERS for percent in PERCENT),
            f"{max(figures[f'{kind} {percent} ours'].peak for percent in PERCENT):.1f}",
        )
        for kind in shapes
    ]
    units = ("clean", *PEERS)
    head = ("", *(f"{percent} %, x {unit}" for unit in units for percent in PERCENT), "peak MB")
    table(f"Invalid records, median of {rounds} processes", head, rows)


def limits(folder: Path, _records: int, rounds: int) -> None:
    """Measure the memory of the largest record, by kind."""
    tasks = {kind: ("ours", largest(folder, kind)) for kind in LARGEST}
    figures = measure(tasks, rounds)
    size = f"{RECORD_LIMIT / MB:.0f} MB"
    rows = [(kind, f"{each.speed:.0f}", f"{each.peak:.0f}") for kind, each in figures.items()]
    table(f"One record of {size}, median of {rounds} processes", ("", "MB/s", "peak MB"), rows)


def largest(folder: Path, kind: str) -> Path:
    path = folder / f"largest-{kind}.json"
    start = b'{"patient_id":"A","patient_name":"B"' + LARGEST[kind] + b',"image":"'
    with path.open("wb") as file:
        file.write(b"[" + start)
        file.writelines(b"A" * size for size in [MB] * (RECORD_LIMIT // MB))
        file.write(b"A" * (RECORD_LIMIT % MB - len(start) - 2) + b'"}]')
    return path


def bounds(folder: Path, records: int, rounds: int) -> None:
    """Measure what gzip costs, and that memory does not grow with the document."""
    clean, packed = scans(folder, "flat", records), scans(folder, "gzip", records)
    small = scans(folder, "flat", 30 * MB // SHAPES["flat"])
    tasks = {
        "clean": ("ours", clean),
        "gzip": ("ours", packed),
        "30 MB": ("ours", small),
        "1 GB": ("ours", repeated(folder, small, 34)),
    }
    figures = measure(tasks, rounds)
    gunzip = median(seconds_of_gunzip(packed) for _ in range(rounds))
    size = clean.stat().st_size
    speed = {name: each.speed for name, each in figures.items()}
    speed["gzip"] *= size / packed.stat().st_size
    slower = min(speed["clean"], size / gunzip / MB)
    rows = [
        (
            name,
            f"{speed[name]:.0f}",
            f"{speed[name] / (slower if name == 'gzip' else speed['clean']):.2f}",
            f"{each.peak:.1f}",
        )
        for name, each in figures.items()
    ]
    rows.append(("gzip -dc", f"{size / gunzip / MB:.0f}", "", ""))
    table(
        "Bounds (gzip: of the slower of gzip -dc and clean)",
        ("", "MB/s decompressed", "x clean", "peak MB"),
        rows,
    )


def seconds_of_gunzip(packed: Path) -> float:
    command = [shutil.which("gzip") or "gzip", "-dc", str(packed)]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_060_000, help="180 MB of flat scans by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.relative_to(ROOT)}")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="scans-") as folder:
        bars = compare(Path(folder), options.records, options.rounds)
        for part in (shapes, kinds, bounds, limits):
            part(Path(folder), options.records, options.rounds)
    if options.picture:
        title = "Extracting two fields: times as fast as the json module"
        PICTURE.write_text(picture(title, "one core, fresh processes, medians; peak memory beside", bars))


if __name__ == "__main__":
    main()
