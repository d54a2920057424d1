"""The time that is left to an invocation: nothing is begun that could outlast it, by no thread of it."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import Event

from chalicelib.s3 import ObjectStoreError

# Milliseconds that must be left to begin another step: an attempt at a request, or a read (if some KiB a
# second come). It may use up its timeouts and botocore's longest pause; then there is an upload to abort.
MARGIN = 50_000
# Milliseconds that must be left to begin to abort: the timeouts once more.
LAST_MARGIN = 18_000

type Clock = Callable[[], int]

# A context's own: what botocore calls back gets no argument of ours.
_TIME: ContextVar[tuple[Clock, int]] = ContextVar("time", default=(lambda: sys.maxsize, 0))


class OutOfTimeError(ObjectStoreError):
    """Too little time is left to begin another step."""


@contextmanager
def within(remaining: Clock, margin: int = MARGIN) -> Iterator[None]:
    """Begin no step while less than `margin` of the `remaining` milliseconds is left: OutOfTimeError."""
    token = _TIME.set((remaining, margin))
    try:
        yield
    finally:
        _TIME.reset(token)


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Begin a step as long as LAST_MARGIN is left."""
    remaining, _ = _TIME.get()
    with within(remaining, LAST_MARGIN):
        yield


def check_time(**_: object) -> None:
    """Raise OutOfTimeError if it is too late to begin a step."""
    remaining, margin = _TIME.get()
    if remaining() < margin:
        raise OutOfTimeError("too little time is left")


class Threads:
    """Up to so many threads, made when they are needed, to which the same time is left as to their maker."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count)
        self._stopped = Event()

    def start[R](self, job: Callable[[], R]) -> Future[R]:
        """Have a job done; what it raises, the result raises."""
        return self._pool.submit(copy_context().run, self._in_time, job)

    def stop(self) -> None:
        """Begin no step any more, and wait for those that have begun: no thread is left."""
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def _in_time[R](self, job: Callable[[], R]) -> R:
        remaining, margin = _TIME.get()
        with within(lambda: -1 if self._stopped.is_set() else remaining(), margin):
            return job()
