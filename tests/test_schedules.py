"""Whatever the order of steps, the newest version is published in the end; and every step has its reason."""

from contextlib import suppress

import pytest

from chalicelib import pipeline
from chalicelib.object_store import ANYWAY, Head, OvertakenError, Upload
from chalicelib.pipeline import Publication
from tests.chaos.schedules import ANYTHING, DELETED, MALFORMED, A, B, Exploration, Story, WrongError, explore


@pytest.mark.parametrize(
    ("length", "alphabet", "duplicates", "faults"),
    [(1, ANYTHING, 2, 2), (2, ANYTHING, 1, 1), (3, (A, B, MALFORMED, DELETED), 0, 1), (4, (A, B), 0, 0)],
    ids=["one version", "two versions", "three versions", "four versions"],
)
def test_every_schedule_ends_with_the_newest_version_published(
    length: int, alphabet: Story, duplicates: int, faults: int
) -> None:
    explore(length, alphabet, duplicates=duplicates, faults=faults)


def test_without_the_condition_an_older_version_can_end_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Head, "unchanged", ANYWAY)
    monkeypatch.setattr(pipeline, "IF_ABSENT", ANYWAY)

    with pytest.raises(WrongError, match="published over a newer one"):
        Exploration((A, B)).run()


def test_without_the_last_look_content_that_returns_can_end_below_an_older_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Publication, "_is_current", lambda *_: True)

    with pytest.raises(WrongError, match="the newest version is not published in the end"):
        Exploration((A, B, A)).run()


def test_a_lost_condition_taken_for_success_can_lose_the_newest_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complete = Upload.complete

    def careless(upload: Upload) -> None:
        with suppress(OvertakenError):
            complete(upload)

    monkeypatch.setattr(Upload, "complete", careless)

    with pytest.raises(WrongError, match="the newest version is not published in the end"):
        Exploration((A, B)).run()
