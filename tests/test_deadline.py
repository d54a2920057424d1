"""No step begins too late, in whichever thread it would begin."""

from concurrent.futures import CancelledError
from threading import Event, Thread, get_ident

import pytest

from chalicelib.deadline import (
    LAST_MARGIN,
    MARGIN,
    OutOfTimeError,
    ThreadPool,
    check_time,
    cleanup_time,
    time_limit,
)

WITHIN = 10  # seconds


@pytest.mark.parametrize(
    ("remaining", "expected"),
    [
        (MARGIN, (True, True)),
        (MARGIN - 1, (False, True)),
        (LAST_MARGIN, (False, True)),
        (LAST_MARGIN - 1, (False, False)),
    ],
)
def test_a_step_begins_only_if_its_margin_remains_in_this_thread_and_in_others(
    remaining: int, expected: tuple[bool, bool]
) -> None:
    begins, cleans_up = expected
    pool = ThreadPool(1)

    def may_begin() -> bool:
        try:
            check_time()
        except OutOfTimeError:
            return False
        return True

    with time_limit(lambda: remaining):
        assert may_begin() == pool.submit(may_begin).result(WITHIN) == begins
        with cleanup_time():
            assert may_begin() == pool.submit(may_begin).result(WITHIN) == cleans_up
        assert may_begin() == begins
    assert may_begin()
    assert pool.submit(may_begin).result(WITHIN)
    pool.stop()


def test_a_pool_returns_results_and_errors_of_its_own_threads() -> None:
    pool = ThreadPool(1)

    def fail() -> None:
        raise KeyError

    assert pool.submit(get_ident).result(WITHIN) == pool.submit(get_ident).result(WITHIN) != get_ident()
    assert isinstance(pool.submit(fail).exception(WITHIN), KeyError)
    pool.stop()


def test_a_stopped_pool_begins_no_step_and_no_job_and_waits_for_the_current_step() -> None:
    pool = ThreadPool(1)
    began, ends = Event(), Event()
    steps: list[str] = []

    def job() -> None:
        began.set()
        ends.wait(WITHIN)
        steps.append("first")
        check_time()
        steps.append("second")

    with time_limit(lambda: MARGIN):
        current, waiting = pool.submit(job), pool.submit(lambda: steps.append("another job"))
    assert began.wait(WITHIN)
    stopping = Thread(target=pool.stop)
    stopping.start()
    with pytest.raises(CancelledError):
        waiting.result(WITHIN)
    assert stopping.is_alive()  # it waits
    ends.set()
    stopping.join(WITHIN)

    assert not stopping.is_alive()
    assert isinstance(current.exception(WITHIN), OutOfTimeError)
    assert steps == ["first"]
