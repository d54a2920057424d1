"""In every order of steps, a forgotten object stays forgotten; and every step of `forget` is needed."""

import pytest

from tests.chaos.forgetting import WAITS_BEFORE, Forgetting, Step, stories
from tests.chaos.schedules import DELETED, DIRTY, LARGE, REFUSED, A, B, Document, Story, WrongError


@pytest.mark.parametrize(
    ("before", "again", "duplicates"),
    [((DIRTY,), B, 1), ((LARGE,), DIRTY, 1), ((A, DELETED), REFUSED, 1), ((A, DIRTY), B, 0)],
    ids=["a dirty one", "a large one", "a deleted one", "two"],
)
def test_after_every_schedule_only_later_uploads_are_left(
    before: Story, again: Document, duplicates: int
) -> None:
    for story in stories(before, again):
        Forgetting(story, duplicates=duplicates).run()


def test_faults_and_retries_bring_nothing_back() -> None:
    for story in stories((DIRTY,), B):
        Forgetting(story, duplicates=1, faults=1).run()


@pytest.mark.parametrize("left_out", [Step.PURGED, Step.PROCESSED_SWEPT_AGAIN, Step.REJECTED_SWEPT_AGAIN])
def test_if_one_of_these_steps_is_left_out_something_can_remain(left_out: Step) -> None:
    with pytest.raises(WrongError, match="something stands in the end of what was forgotten"):
        Forgetting((DIRTY, *(step for step in Step if step is not left_out))).run()


def test_without_waiting_for_handlers_something_can_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.forgetting.WAITS_BEFORE", set())

    assert WAITS_BEFORE
    with pytest.raises(WrongError, match="something stands in the end of what was forgotten"):
        Forgetting((A, *Step)).run()


def test_without_a_delete_marker_late_events_fail_and_put_the_key_into_the_queue() -> None:
    with pytest.raises(WrongError, match="comes into the failure queue"):
        Forgetting((A, *(step for step in Step if step is not Step.HIDDEN))).run()
