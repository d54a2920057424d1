"""The memory of a worker, whatever the size of the object: a real client and sockets, a body made on the fly.

python -m tests.chaos.memory: an object of 200 MB and one of 2 GB, where all and where half of the records
are valid, 64 by one event, and then 2,000 small ones in a row; it ends with 1 if the bounds do not hold.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import client_environment
from tests.chaos.worker import Worker
from tests.events import s3_event

MB = 10**6
RAW = local_stage.buckets().raw
PEAK = 160  # MB, with the SDK loaded
PEAK_OF_MANY = 250  # MB, when one event names 64 objects
GROWTH = 5  # MB, from 200 MB of input to 2 GB
LEAK = 0.5  # MB, from the first objects of many to the last
WARM = 100  # objects, after which nothing more is imported or made once for all

VALID = (
    b'{"patient_id":"P1","patient_name":"Ada Specimen","diagnosis":"drusen","microns":[250,251,252,253]},\n'
)
INVALID = VALID.replace(b"patient_id", b"patient_no")


class Shape(NamedTuple):
    """Records that a large object repeats."""

    name: str
    records: bytes


ALL_VALID = Shape("none rejected", VALID * 100)
HALF_VALID = Shape("half rejected", (VALID + INVALID) * 50)


def peak(shape: Shape, size: int, objects: int = 1) -> tuple[float, float]:
    """Handle objects of about so many bytes, by one event, in a fresh process.

    Returns its peak memory in MB, and the seconds.
    """
    started = time.monotonic()
    keys = [(RAW, f"{number}.json") for number in range(objects)]
    with endless_s3(shape, size) as url, quiet_worker(url) as one:
        memory = one.handle(s3_event(*keys, size=size))
    return memory.peak, time.monotonic() - started


def growth(objects: int) -> float:
    """Handle so many small objects in one process: by how many MB it grows after the first ones."""
    with endless_s3(HALF_VALID, MB // 100) as url, quiet_worker(url) as one:
        residents = [one.handle(s3_event((RAW, f"{number}.json"))).resident for number in range(objects)]
    return residents[-1] - residents[WARM]


@contextmanager
def quiet_worker(url: str) -> Iterator[Worker]:
    """Run a worker whose S3 is there, and whose log is of no interest."""
    environment = local_stage.environment() | client_environment(url)
    with Path(os.devnull).open("w") as log, Worker(environment, log) as worker:
        yield worker


@contextmanager
def endless_s3(shape: Shape, size: int) -> Iterator[str]:
    """Serve one raw object of that shape and size, and swallow what is written."""
    times = size // len(shape.records)
    length = len(b"[") + len(shape.records) * times + len(b"{}]")
    with _Server(("127.0.0.1", 0), _Endless) as server:
        server.length, server.body = length, lambda: chain([b"["], repeat(shape.records, times), [b"{}]"])
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    length: int
    body: Callable[[], Iterator[bytes]]


class _Endless(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_HEAD(self) -> None:
        raw = self.path.startswith(f"/{RAW}/")
        self._head(200 if raw else 404, 0)

    def do_GET(self) -> None:
        self._head(200, self.server.length)
        for piece in self.server.body():
            self.wfile.write(piece)

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, MB)))
        answer = b"<Result><UploadId>1</UploadId><ETag>1</ETag></Result>"
        self._head(200, len(answer))
        self.wfile.write(answer)

    do_POST = do_PUT  # noqa: N815 - the base class's names

    def _head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"1"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> int:
    held = True
    for shape in (ALL_VALID, HALF_VALID):
        (small, _), (large, seconds) = peak(shape, 200 * MB), peak(shape, 2000 * MB)
        held = held and large <= min(PEAK, small + GROWTH)
        peaks = f"peak {small:.0f} MB at 200 MB, {large:.0f} MB at 2 GB"
        sys.stdout.write(f"{shape.name}: {peaks}, which took {seconds:.0f} s\n")
    for size in (MB, 50 * MB):
        many, seconds = peak(HALF_VALID, size, 64)
        held = held and many <= PEAK_OF_MANY
        sys.stdout.write(f"64 objects of {size // MB} MB: peak {many:.0f} MB, in {seconds:.0f} s\n")
    leak = growth(2000)
    sys.stdout.write(f"2,000 objects in a row: {leak:+.2f} MB after the first {WARM}\n")
    return 0 if held and leak <= LEAK else 1


if __name__ == "__main__":
    sys.exit(main())
