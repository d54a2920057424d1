"""`reconcile` never concludes from timestamps that an outdated object is current."""

import io
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from infra.ops.aws.listing import OutOfOrderError, Pair, Upload, merge_listings
from infra.ops.aws.place import Place
from infra.ops.aws.revisions import Deployed, NoRevisionError, Revisions, deployed_revision
from infra.ops.aws.uploads import Buckets
from infra.ops.aws.versions import versions
from infra.ops.commands.reconcile import Classifier, State

BUCKETS = Buckets("raw", "processed", "rejected")
TIMEOUT = 900  # seconds
START = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = Deployed("r", datetime(2020, 1, 1, tzinfo=UTC))


def at(seconds: float) -> datetime:
    """The time so many seconds after START, in whole seconds as S3 shows it."""
    return (START + timedelta(seconds=seconds)).replace(microsecond=0)


class History:
    """Versions of one key, and a publication of one of them by a handler of any speed."""

    def __init__(self, gaps: list[tuple[float, float]], of: int, seen: float, run: float) -> None:
        self.begun: list[float] = []
        self.current_from: list[float] = []
        now = 0.0
        for gap, takes in gaps:  # a multipart upload may take any time
            now += gap
            self.current_from.append(now)
            self.begun.append(now - takes)
        self.of = of
        until = [*self.current_from[1:], now + 5000][self.of]
        began = self.current_from[self.of] + seen * (until - self.current_from[self.of])
        self.published = began + run * TIMEOUT
        self.in_parts = gaps[-1][1] > 0

    @property
    def is_current(self) -> bool:
        return self.of == len(self.begun) - 1

    def pair(self) -> Pair:
        upload = Upload("v", 9, at(self.begun[-1]), self.in_parts, alone=len(self.begun) == 1)
        return Pair("a.json", upload, at(self.published))


def classifier() -> Classifier:
    return Classifier(None, BUCKETS, LONG_AGO, timedelta(seconds=TIMEOUT), thorough=False)


def histories() -> Iterator[History]:
    """Up to three versions; each of them published by a fast or a slow handler."""
    versions = list(product((0.5, 100, 1000, 5000), (0, 0.5, 9000)))
    for count in (1, 2, 3):
        for gaps in product(versions, repeat=count):
            for of, seen, run in product(range(count), (0, 0.5, 0.999), (0, 0.5, 1)):
                yield History(list(gaps), of, seen, run)


def test_in_every_history_a_key_that_is_current_by_its_timestamps_is_current() -> None:
    by_timestamps = classifier()

    found = [history.is_current for history in histories() if by_timestamps.from_listings(history.pair())]

    assert len(found) > 1000
    assert all(found)


@pytest.mark.parametrize(
    ("gaps", "run", "expected"),
    [
        ([(0, 0)], 0.001, State.CURRENT),
        ([(0, 0), (9, 0)], 0.001, None),
        ([(0, 0), (9, 0)], 6, State.CURRENT),
        ([(0, 9)], 1, None),
    ],
    ids=["one version", "the newest of two, at once", "the newest of two, later", "in parts"],
)
def test_timestamps_prove_a_single_version_or_a_publication_long_after_the_newest(
    gaps: list[tuple[float, float]], run: float, expected: State | None
) -> None:
    history = History(gaps, len(gaps) - 1, 0, run)

    assert classifier().from_listings(history.pair()) == expected


def test_timestamps_of_objects_without_versions_are_not_trusted() -> None:
    null = {
        "Key": "a",
        "VersionId": "null",
        "IsLatest": True,
        "ETag": '"e"',
        "Size": 1,
        "LastModified": START,
    }

    (pair,) = merge_listings(Pages(raw=[{"Versions": [null]}]), BUCKETS, "")

    assert pair.upload == Upload("e", 1, START, in_parts=False, alone=False)


class Pages:
    """An S3 client that returns these pages."""

    def __init__(self, **pages: list[dict[str, Any]]) -> None:
        self._pages = pages

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda Bucket, **_: self._pages.get(Bucket, []))  # noqa: N803 - boto3's


def test_versions_of_a_key_on_two_pages_are_one_upload() -> None:
    def version(key: str, number: int, *, latest: bool = False, marker: bool = False) -> dict[str, Any]:
        about = {"Key": key, "VersionId": f"{number}", "IsLatest": latest, "LastModified": START}
        return about if marker else about | {"ETag": '"e"', "Size": number}

    first = {"Versions": [version("a", 1, latest=True), version("b", 3, latest=True)]}
    first["DeleteMarkers"] = [version("a", 0, marker=True)]
    then = {
        "Versions": [version("b", 2), version("c", 1)],
        "DeleteMarkers": [version("c", 2, latest=True, marker=True)],
    }

    found = {pair.key: pair.upload for pair in merge_listings(Pages(raw=[first, then]), BUCKETS, "")}

    assert found == {
        "a": Upload("1", 1, START, in_parts=False, alone=False),
        "b": Upload("3", 3, START, in_parts=False, alone=False),
    }


def test_versions_of_a_key_are_listed_in_the_order_of_s3_even_if_a_newer_one_was_begun_earlier() -> None:
    def version(number: int, seconds: int, *, latest: bool = False) -> dict[str, Any]:
        return {"Key": "a", "VersionId": f"{number}", "IsLatest": latest, "LastModified": at(seconds)}

    uploaded = [one | {"ETag": '"e-2"', "Size": 1} for one in (version(4, 10), version(2, 20))]
    page = {"Versions": uploaded, "DeleteMarkers": [version(5, 40, latest=True), version(1, 0)]}

    assert [one.id for one in versions(Pages(raw=[page]), "raw", "")] == ["5", "4", "2", "1"]


def test_a_bucket_that_lists_its_keys_out_of_order_is_refused() -> None:
    contents = [{"Key": key, "LastModified": START} for key in ("b", "a")]

    with pytest.raises(OutOfOrderError):
        list(merge_listings(Pages(processed=[{"Contents": contents}]), BUCKETS, ""))


@given(st.sets(st.text(st.characters(codec="utf-8"), min_size=1)))
def test_the_order_of_utf_8_bytes_is_that_of_code_points(keys: set[str]) -> None:
    by_bytes = sorted(keys, key=str.encode)

    assert all(one < other for one, other in pairwise(by_bytes))


class Learning:
    """Decides by timestamps, and reads the revision only if they are not enough; `looks` counts how often."""

    def __init__(self, changed: float) -> None:
        self.revisions = Revisions(Deployed("new", at(changed)), timedelta(seconds=TIMEOUT))
        self.looks = 0

    def is_current(self, published: float, revision: str) -> bool:
        if self.revisions.proven_by(at(published)):
            return True
        self.looks += 1
        self.revisions.learn(at(published), revision)
        return self.revisions.is_deployed(revision)


def shuffled(count: int) -> Iterator[int]:
    numbers = list(range(count))
    random.Random(1).shuffle(numbers)  # noqa: S311 - any order is fine
    return iter(numbers)


def test_if_everything_is_of_the_deployed_revision_a_few_looks_are_enough() -> None:
    learning = Learning(changed=200_000)

    assert all(learning.is_current(published, "new") for published in shuffled(100_000))
    assert learning.looks < 30


def test_publications_of_the_revision_before_are_found_among_those_of_the_deployed_one() -> None:
    learning = Learning(changed=200_000)

    for published in shuffled(10_000):
        assert learning.is_current(published, "new" if published > 5000 else "old") == (published > 5000)


def test_publications_around_a_change_of_the_function_are_all_looked_at() -> None:
    learning = Learning(changed=10_000)

    assert not any(learning.is_current(10_000 + late, "old") for late in (-599, 0, 1, 600, 1500))
    assert learning.looks == 5
    assert learning.is_current(11_501, "new")
    assert learning.looks == 5


def test_timestamps_before_a_publication_of_another_revision_prove_nothing() -> None:
    learning = Learning(changed=10_000)
    assert learning.is_current(100, "new")

    learning.revisions.learn(at(8000), "old")

    assert not learning.is_current(5000, "old")
    assert learning.is_current(8500, "new")
    assert learning.looks == 2


class ThrottledError(Exception): ...


def place() -> Place:
    return Place("dev", "eu-central-1", "1", "f", BUCKETS, TIMEOUT, {})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"errorMessage": "1 of 1 uploads"}', "too old"),
        (b"null", "too old"),
        (ThrottledError(), "paused"),
        (ReadTimeoutError(endpoint_url="url"), "within 30 seconds"),
    ],
    ids=["an error", "nothing", "throttled", "no answer"],
)
def test_the_error_of_a_function_that_does_not_report_its_revision_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception, words: str
) -> None:
    monkeypatch.setattr(boto3, "client", lambda *_, **__: Function(answer))

    with pytest.raises(NoRevisionError, match=words):
        deployed_revision(place())


def test_the_function_is_asked_by_a_replay_of_no_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Function(b'{"revision": "2:abc", "outcomes": []}')
    monkeypatch.setattr(boto3, "client", lambda *_, **__: function)

    assert deployed_revision(place()) == Deployed(
        "2:abc", datetime(2026, 11, 25, 15, 55, 25, 123000, tzinfo=UTC)
    )
    assert function.asked == {"FunctionName": "f", "Payload": '{"Items": []}'}


class Function:
    """A Lambda client whose function returns this answer, or raises it."""

    exceptions = SimpleNamespace(TooManyRequestsException=ThrottledError)

    def __init__(self, answer: bytes | Exception) -> None:
        self._answer = answer
        self.asked: dict[str, str] = {}

    def get_function_configuration(self, **_: str) -> dict[str, str]:
        return {"LastModified": "2026-11-25T15:55:25.123+0000"}

    def invoke(self, **asked: str) -> dict[str, Any]:
        self.asked = asked
        if isinstance(self._answer, Exception):
            raise self._answer
        return {"Payload": io.BytesIO(self._answer)}
