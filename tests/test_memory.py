"""The memory of a worker does not depend on what it handles, nor on how much it has handled already."""

from tests.chaos.memory import HALF_VALID, LEAK, MB, PEAK, growth, peak


def test_a_large_object_takes_no_more_memory_than_is_promised() -> None:
    memory, _ = peak(HALF_VALID, 300 * MB)

    assert memory <= PEAK


def test_a_worker_does_not_grow_from_object_to_object() -> None:
    assert growth(250) <= LEAK
