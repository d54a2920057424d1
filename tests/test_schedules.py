"""In every order of steps, the newest version is published in the end; and every step is needed."""

import pytest

from chalicelib import pipeline
from chalicelib.object_store import UNCONDITIONAL, Head
from chalicelib.pipeline import Publication
from tests.chaos import schedules
from tests.chaos.model_s3 import Answer, Handler, Request, Written
from tests.chaos.schedules import (
    ANYTHING,
    DELETED,
    ERASED,
    MALFORMED,
    REMOVED,
    A,
    B,
    Exploration,
    Happening,
    Story,
    World,
    WrongError,
    explore,
)


@pytest.mark.parametrize(
    ("length", "alphabet", "duplicates", "faults"),
    [
        (1, ANYTHING, 2, 2),
        (2, ANYTHING, 1, 1),
        (3, (A, B, MALFORMED, DELETED), 0, 1),
        (3, (A, B, *Happening), 1, 0),
        (4, (A, B), 0, 0),
    ],
    ids=["one upload", "two happenings", "three", "three, of all kinds", "four uploads"],
)
def test_every_schedule_ends_with_the_newest_version_published(
    length: int, alphabet: Story, duplicates: int, faults: int
) -> None:
    explore(length, alphabet, duplicates=duplicates, faults=faults)


@pytest.mark.parametrize(
    ("length", "alphabet", "duplicates", "faults"),
    [(2, ANYTHING, 0, 1), (3, (A, B, *Happening), 0, 0)],
    ids=["two happenings", "three, of all kinds"],
)
def test_fast_and_slow_handlers_publish_the_newest_version_in_every_schedule(
    monkeypatch: pytest.MonkeyPatch, length: int, alphabet: Story, duplicates: int, faults: int
) -> None:
    monkeypatch.setattr(schedules, "timed", schedules.either)

    explore(length, alphabet, duplicates=duplicates, faults=faults)


def test_without_conditional_writes_an_older_version_can_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Head, "if_unchanged", UNCONDITIONAL)
    monkeypatch.setattr(pipeline, "IF_ABSENT", UNCONDITIONAL)

    with pytest.raises(WrongError, match="published over a newer one"):
        Exploration((A, B)).run()


@pytest.mark.parametrize(
    "story", [(A, B, A), (A, B, ERASED)], ids=["content returns", "the processed object is deleted"]
)
def test_without_the_check_after_publishing_an_older_version_can_stay(
    monkeypatch: pytest.MonkeyPatch, story: Story
) -> None:
    monkeypatch.setattr(Publication, "_is_current", lambda *_: True)

    with pytest.raises(WrongError, match="the newest version is not published in the end"):
        Exploration(story).run()


def at_once(_: Request, answered: Answer, __: Handler) -> list[Answer]:
    return [answered]


def late(_: Request, answered: Answer, __: Handler) -> list[Answer]:
    return [Written(late=True) if isinstance(answered, Written) else answered]


DELETED_AT_ONCE = pytest.mark.parametrize(
    "story", [(A, B, ERASED), (A, A, REMOVED, ERASED)], ids=["after an upload", "after a removal"]
)


@DELETED_AT_ONCE
def test_if_a_deletion_could_follow_at_once_a_fast_handler_could_leave_another_version(
    monkeypatch: pytest.MonkeyPatch, story: Story
) -> None:
    monkeypatch.setattr(schedules, "timed", at_once)

    with pytest.raises(WrongError, match="the newest version is not published in the end"):
        Exploration(story).run()


@DELETED_AT_ONCE
def test_a_slow_handler_checks_again_and_publishes_the_newest_version(
    monkeypatch: pytest.MonkeyPatch, story: Story
) -> None:
    monkeypatch.setattr(schedules, "timed", late)

    assert Exploration(story).run()


def test_a_fast_handler_is_safe_if_a_deletion_takes_as_long_as_assumed() -> None:
    assert Exploration((A, A, REMOVED, ERASED)).run()


@pytest.mark.parametrize(
    "story", [(A, DELETED, REMOVED), (A, B, REMOVED)], ids=["undeleted", "the newest version removed"]
)
def test_without_an_event_for_a_removed_version_the_previous_one_can_stay_unpublished(
    monkeypatch: pytest.MonkeyPatch, story: Story
) -> None:
    continued = Exploration._continued  # noqa: SLF001 - leaves out one of the events

    def quiet(exploration: Exploration, world: World, handler: Handler) -> World:
        return continued(exploration, world, handler) if handler != Handler(young=False) else world

    monkeypatch.setattr(Exploration, "_continued", quiet)

    with pytest.raises(WrongError, match="the newest version is not published in the end"):
        Exploration(story).run()


def test_without_a_retry_an_invisible_upload_can_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MAX_VISIBILITY_DELAY", 0)

    with pytest.raises(WrongError, match="the newest version is not published in the end"):
        Exploration((A,), faults=1).run()
