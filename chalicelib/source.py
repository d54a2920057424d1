"""Read the current object of a key as a stream, the ranges of a large one side by side."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from typing import Any, Self

from chalicelib.deadline import Threads, check_time
from chalicelib.s3 import S3, AbsentError, ObjectStoreError, OvertakenError, chunks, head_of

# Times that a stream may break without one more byte.
RESUMES = 5
# Bytes of one request for a part of a large object.
RANGE = 3 * 1024 * 1024
# Ranges that are under way at once: S3 gives up to 90 MB/s a connection, and a core takes more.
STREAMS = 3
# Bytes up to which an object is read by one request.
SMALL = 2 * RANGE


class Source:
    """The current object of a key: its head, and its bytes as a stream that outlives broken connections."""

    def __init__(self, s3: S3, bucket: str, key: str) -> None:
        self._s3 = s3
        self._address = {"Bucket": bucket, "Key": key}
        answer = s3.request("get_object", **self._address)
        self.head = head_of(answer)
        self.position = 0  # bytes read so far
        self._size = answer["ContentLength"]
        self._whole = Stretch(self._open, 0, self._size, answer["Body"])
        self._threads = Threads(STREAMS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._whole.close()
        self._threads.stop()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes, once; OvertakenError if the object is replaced while another request is made."""
        for chunk in self._whole if self._size <= SMALL else self._side_by_side():
            self.position += len(chunk)
            yield chunk
            check_time()

    def _side_by_side(self) -> Iterator[bytes]:
        self._whole.close()
        under_way: deque[Future[deque[bytes]]] = deque()
        for start in range(0, self._size, RANGE):
            under_way.append(self._threads.start(partial(self._range, start)))
            if len(under_way) > STREAMS:
                yield from _drained(under_way.popleft().result())
        while under_way:
            yield from _drained(under_way.popleft().result())

    def _range(self, start: int) -> deque[bytes]:
        read, stop = deque[bytes](), min(start + RANGE, self._size)
        with closing(Stretch(self._open, start, stop)) as stretch:
            for chunk in stretch:
                read.append(chunk)
                check_time()
        return read

    def _open(self, start: int, stop: int) -> Any:
        end = "" if stop == self._size else stop - 1
        part = {"Range": f"bytes={start}-{end}", "IfMatch": self.head.etag}
        try:
            answer = self._s3.request("get_object", **self._address, **part)
        except AbsentError:
            raise OvertakenError("get_object: deleted while it was read") from None
        expected = (f"bytes {start}-{stop - 1}/{self._size}", stop - start)
        if (answer.get("ContentRange"), answer["ContentLength"]) != expected:
            answer["Body"].close()
            raise ObjectStoreError("get_object: not the range that was asked for")
        return answer["Body"]


class Stretch:
    """Bytes `start` to `stop` of an object; what `get` opens when the connection breaks, or to begin with."""

    def __init__(self, get: Callable[[int, int], Any], start: int, stop: int, body: Any = None) -> None:
        self._get = get
        self._at = start
        self._stop = stop
        self._body = body or get(start, stop)

    def __iter__(self) -> Iterator[bytes]:
        lost = 0
        while True:
            before = self._at
            for chunk in chunks(self._body):
                self._at += len(chunk)
                yield chunk
            if self._at == self._stop:
                return
            lost = 1 if self._at > before else lost + 1
            self._resume(lost)

    def _resume(self, lost: int) -> None:
        if lost > RESUMES:
            raise ObjectStoreError(f"get_object: connection lost {lost} times in a row")
        self._body.close()
        self._body = self._get(self._at, self._stop)

    def close(self) -> None:
        """Let the connection go."""
        self._body.close()


def _drained(chunks: deque[bytes]) -> Iterator[bytes]:
    """Hand on what was read, and keep nothing of it."""
    while chunks:
        yield chunks.popleft()
