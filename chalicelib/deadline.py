"""The deadline of an invocation: no thread begins a step that could end after it."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import Event, Lock

from chalicelib.s3 import ObjectStoreError

# Milliseconds that must remain to begin a step: an attempt at a request, or a read. The step may use all of
# its timeouts and botocore's longest backoff, and afterwards an upload may have to be aborted.
MARGIN = 50_000
# Milliseconds that must remain to begin to abort an upload: the timeouts of one attempt.
LAST_MARGIN = 18_000

# Seconds between two checks of the time, for a thread that waits for its turn.
POLL_SECONDS = 1

type Clock = Callable[[], int]

# The clock, and the milliseconds that must remain. botocore passes no argument of ours to `check_time`.
_DEADLINE: ContextVar[tuple[Clock, int]] = ContextVar("deadline", default=(lambda: sys.maxsize, 0))


class OutOfTimeError(ObjectStoreError):
    """Too little time remains to begin another step."""


@contextmanager
def time_limit(remaining: Clock, margin: int = MARGIN) -> Iterator[None]:
    """Have `check_time` raise OutOfTimeError once `remaining` returns less than `margin` milliseconds."""
    token = _DEADLINE.set((remaining, margin))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


@contextmanager
def cleanup_time() -> Iterator[None]:
    """Lower the margin to LAST_MARGIN, for requests that clean up."""
    remaining, _ = _DEADLINE.get()
    with time_limit(remaining, LAST_MARGIN):
        yield


def check_time(**_: object) -> None:
    """Raise OutOfTimeError if too little time remains to begin a step."""
    remaining, margin = _DEADLINE.get()
    if remaining() < margin:
        raise OutOfTimeError("too little time is left")


class ThreadPool:
    """Up to `count` threads, started on demand, with the deadline of the thread that submits the job."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count)
        self._stopped = Event()

    def submit[R](self, job: Callable[[], R]) -> Future[R]:
        """Run a job in a thread."""
        return self._pool.submit(copy_context().run, self._until_stopped, job)

    def stop(self) -> None:
        """Begin no further step, and wait until the current steps and all threads have ended."""
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def _until_stopped[R](self, job: Callable[[], R]) -> R:
        remaining, margin = _DEADLINE.get()
        with time_limit(lambda: -1 if self._stopped.is_set() else remaining(), margin):
            return job()


class Turn:
    """The right to use much memory. One thread of the process has it at a time."""

    _lock = Lock()

    def __init__(self) -> None:
        self._taken = False

    def take(self) -> None:
        """Wait for the turn, unless it has been taken; raises OutOfTimeError."""
        while not (self._taken or self._lock.acquire(timeout=POLL_SECONDS)):
            check_time()
        self._taken = True

    def end(self) -> None:
        """Let the next thread have the turn, if it has been taken."""
        if self._taken:
            self._taken = False
            self._lock.release()
