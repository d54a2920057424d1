"""Measure the memory of a worker, with a real client and sockets. Object bodies are generated on the fly.

python -m tests.chaos.memory measures objects of 200 MB and 2 GB, with all and with half of the records valid;
64 objects in one event; 16 small gzip objects, each with a large record; and 2,000 small objects in a row. It
exits with 1 if a limit is exceeded.
"""

import gzip
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from chalicelib.malformed import MIB
from infra.ops.local import stage as local_stage
from tests.benchmarks.stand_in import Large, Link, stand_in
from tests.chaos.worker import Worker
from tests.events import s3_event

MB = 10**6
RAW = local_stage.buckets().raw
PEAK = 120  # MB for an object of any size, including the SDK; the amount read ahead depends on timing
PEAK_OF_MANY = 250  # MB for an event with 64 objects
PEAK_OF_RECORDS = 160  # MB for an event with 16 small gzip objects, each with one record of 20 MiB
LEAK = 0.5  # MB of growth from the first objects to the last
WARM = 100  # objects after which all modules and caches are loaded

VALID = b'{"patient_id":"P1","patient_name":"Ada Specimen","diagnosis":"drusen","microns":[250,251,252,253]}'
INVALID = VALID.replace(b"patient_id", b"patient_no")
LACKING = b'{"diagnosis":"drusen"}'


class Shape(NamedTuple):
    """The records that a large object repeats."""

    name: str
    records: bytes

    def of(self, size: int) -> Large:
        """Make an object of about `size` bytes."""
        return Large(self.records, size // len(self.records))


ALL_VALID = Shape("none rejected", b",\n".join([VALID] * 100))
HALF_VALID = Shape("half rejected", b",\n".join([VALID, INVALID] * 50))


def compressed(record: bytes, size: int) -> bytes:
    """Compress a document that is one large record: `record` with an image of `size` bytes."""
    return gzip.compress(record.removesuffix(b"}") + b',"image":"' + b"A" * size + b'"}')


def peak(document: bytes | Large, objects: int = 1, announced: int | None = None) -> tuple[float, float]:
    """Handle one event with objects that all have this content, in a new process.

    `announced` is the size that the event gives; by default the size of the object. Returns the peak memory
    in MB, and the time in seconds.
    """
    started = time.monotonic()
    keys = [f"{number}.json" for number in range(objects)]
    size = document.size if isinstance(document, Large) else len(document)
    with quiet_worker(dict.fromkeys(keys, document)) as one:
        memory = one.handle(s3_event(*((RAW, key) for key in keys), size=announced or size))
    return memory.peak, time.monotonic() - started


def growth(objects: int) -> float:
    """Handle small objects in one process; returns its growth in MB after the first WARM objects."""
    keys = [f"{number}.json" for number in range(objects)]
    with quiet_worker(dict.fromkeys(keys, HALF_VALID.of(MB // 100))) as one:
        residents = [one.handle(s3_event((RAW, key))).resident for key in keys]
    return residents[-1] - residents[WARM]


@contextmanager
def quiet_worker(objects: Mapping[str, bytes | Large]) -> Iterator[Worker]:
    """Run a worker with these raw objects, without its log."""
    with stand_in({f"/{RAW}/{key}": each for key, each in objects.items()}, Link(0, 0)) as s3:
        environment = local_stage.environment() | s3.environment
        with Path(os.devnull).open("w") as log, Worker(environment, log) as worker:
            yield worker


def main() -> int:
    held = True
    for shape in (ALL_VALID, HALF_VALID):
        (small, _), (large, seconds) = peak(shape.of(200 * MB)), peak(shape.of(2000 * MB))
        held = held and max(small, large) <= PEAK
        peaks = f"peak {small:.0f} MB at 200 MB, {large:.0f} MB at 2 GB"
        sys.stdout.write(f"{shape.name}: {peaks}, which took {seconds:.0f} s\n")
    for size in (MB, 50 * MB):
        many, seconds = peak(HALF_VALID.of(size), 64)
        held = held and many <= PEAK_OF_MANY
        sys.stdout.write(f"64 objects of {size // MB} MB: peak {many:.0f} MB, in {seconds:.0f} s\n")
    for record in (LACKING, VALID):
        many, seconds = peak(compressed(record, 20 * MIB), 16)
        held = held and many <= PEAK_OF_RECORDS
        sys.stdout.write(f"16 gzip objects of one large record: peak {many:.0f} MB, in {seconds:.0f} s\n")
    leak = growth(2000)
    sys.stdout.write(f"2,000 objects in a row: {leak:+.2f} MB after the first {WARM}\n")
    return 0 if held and leak <= LEAK else 1


if __name__ == "__main__":
    sys.exit(main())
