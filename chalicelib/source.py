"""Read the current object of a key as a stream; read several ranges of a large object at once."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from typing import Any, Self

from chalicelib.deadline import ThreadPool, Turn, check_time
from chalicelib.events import SMALL
from chalicelib.s3 import S3, AbsentError, ObjectStoreError, OvertakenError, chunks, parse_head

# Times in a row that a stream may break without delivering a byte.
MAX_RESUMES = 5
# Bytes of one range of a large object.
RANGE_SIZE = 3 * 1024 * 1024
# Ranges that are read at once. S3 sends up to 90 MB/s per connection, and one core handles more.
PARALLEL_RANGES = 3
# An object of at most this many bytes is read with one request.
SINGLE_REQUEST_SIZE = 2 * RANGE_SIZE


class Source:
    """The current object of a key: its head, and its bytes as a stream that survives lost connections."""

    def __init__(self, s3: S3, bucket: str, key: str) -> None:
        self._s3 = s3
        self._address = {"Bucket": bucket, "Key": key}
        response = s3.request("get_object", **self._address)
        self.head = parse_head(response)
        self.position = 0  # bytes read so far
        self._size = response["ContentLength"]
        self._whole = RangeReader(self._open, 0, self._size, response["Body"])
        self._threads = ThreadPool(PARALLEL_RANGES)
        self._turn = Turn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._whole.close()
        self._threads.stop()
        self._turn.end()

    def bounded(self, text: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the text of the object, decompressed. If either is not small, wait for the turn.

        The size in the event does not tell: the object may have been replaced since, or be gzip.
        """
        if self._size > SMALL:
            self._turn.take()
        size = 0
        for piece in text:
            size += len(piece)
            if size > SMALL:
                self._turn.take()
            yield piece

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes, once. Raises OvertakenError if the object is replaced before a further request."""
        for chunk in self._whole if self._size <= SINGLE_REQUEST_SIZE else self._in_ranges():
            self.position += len(chunk)
            yield chunk
            check_time()

    def _in_ranges(self) -> Iterator[bytes]:
        self._whole.close()
        pending: deque[Future[deque[bytes]]] = deque()
        for start in range(0, self._size, RANGE_SIZE):
            pending.append(self._threads.submit(partial(self._read_range, start)))
            if len(pending) > PARALLEL_RANGES:
                yield from _pop_all(pending.popleft().result())
        while pending:
            yield from _pop_all(pending.popleft().result())

    def _read_range(self, start: int) -> deque[bytes]:
        read, stop = deque[bytes](), min(start + RANGE_SIZE, self._size)
        with closing(RangeReader(self._open, start, stop)) as reader:
            for chunk in reader:
                read.append(chunk)
                check_time()
        return read

    def _open(self, start: int, stop: int) -> Any:
        end = "" if stop == self._size else stop - 1
        part = {"Range": f"bytes={start}-{end}", "IfMatch": self.head.etag}
        try:
            response = self._s3.request("get_object", **self._address, **part)
        except AbsentError:
            raise OvertakenError("get_object: deleted while it was read") from None
        expected = (f"bytes {start}-{stop - 1}/{self._size}", stop - start)
        if (response.get("ContentRange"), response["ContentLength"]) != expected:
            response["Body"].close()
            raise ObjectStoreError("get_object: not the range that was asked for")
        return response["Body"]


class RangeReader:
    """Reads bytes `start` to `stop` of an object. `open_body` opens a body, also after a lost connection."""

    def __init__(self, open_body: Callable[[int, int], Any], start: int, stop: int, body: Any = None) -> None:
        self._open_body = open_body
        self._position = start
        self._stop = stop
        self._body = body or open_body(start, stop)

    def __iter__(self) -> Iterator[bytes]:
        losses = 0
        while True:
            before = self._position
            for chunk in chunks(self._body):
                self._position += len(chunk)
                yield chunk
            if self._position == self._stop:
                return
            losses = 1 if self._position > before else losses + 1
            self._resume(losses)

    def _resume(self, losses: int) -> None:
        if losses > MAX_RESUMES:
            raise ObjectStoreError(f"get_object: connection lost {losses} times in a row")
        self._body.close()
        self._body = self._open_body(self._position, self._stop)

    def close(self) -> None:
        """Close the connection."""
        self._body.close()


def _pop_all(chunks: deque[bytes]) -> Iterator[bytes]:
    """Yield the chunks without keeping a reference, so that the memory of each is freed."""
    while chunks:
        yield chunks.popleft()
