"""One invocation: each key of an event is published once, and a failure is an outcome."""

from typing import Any

import pytest

from chalicelib import invocations, log_events, safe_names
from chalicelib.events import Arrival
from chalicelib.invocations import MAX_LISTED, UploadsFailedError, handle, publish_all
from chalicelib.object_store import ObjectStoreError
from chalicelib.settings import Settings
from tests.test_telemetry import lines

SETTINGS = Settings("raw", "processed", "rejected")
STORE: Any = None  # no key gets as far as a request


def digest(key: str) -> str:
    return safe_names.object_name(key, log_object_keys=False).digest


class Publications:
    """Takes the place of `Publication`: records the arrivals, and fails for the keys in BAD."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    def __call__(self, arrival: Arrival, _store: object, _settings: Settings) -> "Publications.One":
        self.arrivals.append(arrival)
        return self.One(arrival.key)

    class One:
        """The publication of one key."""

        def __init__(self, key: str) -> None:
            self._key = key
            self.name = safe_names.object_name(key, log_object_keys=False)

        def publish(self) -> log_events.ObjectEvent:
            """Fail for a bad key."""
            if self._key in BAD:
                raise ObjectStoreError("put_object: AccessDenied")
            return log_events.ObjectEmpty(self.name, safe_names.Version("1"))


BAD = [f"bad-{number}.json" for number in range(20)]


@pytest.fixture
def publications(monkeypatch: pytest.MonkeyPatch) -> Publications:
    publications = Publications()
    monkeypatch.setattr(invocations, "Publication", publications)
    return publications


def test_of_several_arrivals_of_a_key_only_the_latest_is_published(publications: Publications) -> None:
    old, young = Arrival("raw", "a.json", 1, 5), Arrival("raw", "a.json", 3, 2_000_000)
    other, same_key = Arrival("raw", "b.json", 2, 2_000_000), Arrival("another", "a.json", 2, 2_000_000)
    again = Arrival("raw", "a.json", 3)  # at the same time, without a size

    outcomes = publish_all([young, other, old, same_key, again], STORE, SETTINGS, lambda: 60_000)

    assert list(outcomes) == [("raw", "a.json"), ("raw", "b.json"), ("another", "a.json")]
    assert publications.arrivals == [again, other, same_key]


def test_keys_are_published_in_the_order_of_their_uploads(publications: Publications) -> None:
    arrivals = [Arrival("raw", key, uploaded) for key, uploaded in (("a", 3), ("b", 1), ("c", 2))]

    publish_all(arrivals, STORE, SETTINGS, lambda: 60_000)

    assert [one.key for one in publications.arrivals] == ["b", "c", "a"]


def test_a_failure_is_an_outcome_with_the_name_of_its_object_its_error_and_its_location(
    publications: Publications,  # noqa: ARG001
    captured: pytest.CaptureFixture[str],
) -> None:
    arrivals = [Arrival("raw", BAD[0]), Arrival("raw", "good.json")]

    failed, good = publish_all(arrivals, STORE, SETTINGS, lambda: 60_000).values()

    assert isinstance(failed, log_events.ObjectFailed)
    assert failed.object == safe_names.object_name(BAD[0], log_object_keys=False)
    assert failed.error == "ObjectStoreError put_object: AccessDenied"
    assert failed.at[-1].startswith("test_invocations.py:")
    assert failed.at[-1].endswith(" publish")
    assert isinstance(good, log_events.ObjectEmpty)
    (line,) = (each for each in lines(captured.readouterr().out) if each.get("message") == "object_failed")
    assert (line["object"], line["error"], line["at"]) == (
        {"digest": digest(BAD[0])},
        failed.error,
        failed.at,
    )


@pytest.mark.parametrize("more", [0, 1, 5])
def test_the_message_lists_ten_failures_and_counts_the_others(
    publications: Publications,  # noqa: ARG001
    more: int,
) -> None:
    keys = BAD[: MAX_LISTED + more]
    arrivals = [*[Arrival("raw", key) for key in keys], Arrival("raw", "good.json")]

    with pytest.raises(UploadsFailedError) as error:
        handle(arrivals, STORE, SETTINGS, lambda: 60_000)

    listed = "; ".join(
        f"{digest(key)} ObjectStoreError put_object: AccessDenied" for key in keys[:MAX_LISTED]
    )
    others = f"; and {more} more" if more else ""
    assert str(error.value) == f"{len(keys)} of {len(keys) + 1} uploads: {listed}{others}"
    assert error.value.failed == {("raw", key) for key in keys}
