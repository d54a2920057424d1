"""What the functions say: a closed vocabulary, in which no patient's word has a place."""

import json
from typing import Any, get_type_hints

import msgspec
import pytest

from chalicelib import telemetry
from tests.events import CONTEXT

NUMBERS = {int, bool}
NAMES = {
    telemetry.CodeLocation,
    telemetry.ErrorName,
    telemetry.ObjectDigest,
    telemetry.ObjectKey,
    telemetry.Reason,
    telemetry.Version,
}


def events(base: type[telemetry.Event] = telemetry.Event) -> list[type[telemetry.Event]]:
    return [event for child in base.__subclasses__() for event in (child, *events(child))]


@pytest.mark.parametrize("event", events())
def test_no_field_of_an_event_takes_free_text(event: type[telemetry.Event]) -> None:
    allowed = {*NUMBERS, *NAMES, *(list[name] for name in NAMES), telemetry.ObjectName}  # type: ignore[valid-type] # built at run time

    types = get_type_hints(event)

    assert {types[field] for field in event.__struct_fields__} <= allowed


def test_an_object_is_named_by_digest_and_by_key_only_if_allowed() -> None:
    assert telemetry.object_name("in/Ada Lovelace.json", log_object_keys=False).key is None
    assert telemetry.object_name("in/Ada Lovelace.json", log_object_keys=True).key == "in/Ada Lovelace.json"
    # The first digits of: printf %s 'in/Ada Lovelace.json' | sha256sum
    name = telemetry.object_name("in/Ada Lovelace.json", log_object_keys=False)
    assert name.digest == "26c299b37601a2bb"


@pytest.mark.parametrize("event", events())
def test_an_event_counts_registered_metrics_from_fields_that_it_has(event: type[telemetry.Event]) -> None:
    assert set(event.counts) <= set(telemetry.METRICS)
    assert set(event.counts.values()) - {""} <= set(event.__struct_fields__)


def test_every_metric_is_moved_by_some_event() -> None:
    assert {metric for event in events() for metric in event.counts} == set(telemetry.METRICS)


def lines(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines()]


def test_an_event_is_one_line_and_its_metrics_another(said: pytest.CaptureFixture[str]) -> None:
    outcome = telemetry.DocumentAnswered(status=200, extracted=3, rejected=1, bytes_read=99)

    telemetry.traced(lambda _event, _context: telemetry.emit(outcome))({}, CONTEXT)

    *_, logged, metrics = lines(said.readouterr().out)
    assert logged["message"] == "document_answered"
    assert logged["function_request_id"] == "request"
    assert {field: logged[field] for field in outcome.__struct_fields__} == msgspec.to_builtins(outcome)
    # Alarms and dashboard are built on this one dimension.
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["function_name"]]
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == telemetry.NAMESPACE
    assert (metrics["RecordsExtracted"], metrics["RecordsRejected"], metrics["BytesRead"]) == ([3], [1], [99])


def test_no_environment_variable_makes_it_log_events(
    said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")

    telemetry.traced(lambda _event, _context: None)({"body": "CANARY"}, CONTEXT)

    assert "CANARY" not in "".join(said.readouterr())


def test_no_environment_variable_adds_a_dimension(
    said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "other")
    telemetry._metrics.cache_clear()  # noqa: SLF001 - as at a cold start

    telemetry.traced(lambda _event, _context: telemetry.emit(telemetry.DocumentAnswered(200)))({}, CONTEXT)

    (directive,) = lines(said.readouterr().out)[-1]["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["function_name"]]


def test_the_trace_id_that_a_caller_sends_is_not_logged(
    said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=CANARY;Parent=CANARY")

    telemetry.traced(lambda _event, _context: telemetry.emit(telemetry.NoUploads()))({}, CONTEXT)

    assert "CANARY" not in "".join(said.readouterr())


def test_what_an_alarm_points_at_is_logged_louder_than_what_goes_well(
    said: pytest.CaptureFixture[str],
) -> None:
    name = telemetry.object_name("a.json", log_object_keys=False)
    reason, version, error = (
        telemetry.Reason("empty"),
        telemetry.Version("1"),
        telemetry.ErrorName("KeyError"),
    )
    for event in (
        telemetry.NoUploads(),
        telemetry.ObjectMalformed(name, version=version, reason=reason, offset=0, milliseconds=1),
        telemetry.ObjectFailed(name, error, []),
        telemetry.DocumentFailed(error, []),
        telemetry.RecordsUnreadable(1),
    ):
        telemetry.emit(event)

    levels = [line["level"] for line in lines(said.readouterr().out)]

    assert levels == ["INFO", "WARNING", "ERROR", "ERROR", "ERROR"]


def test_metrics_are_flushed_when_the_handler_fails(said: pytest.CaptureFixture[str]) -> None:
    def failing(_event: object, _context: object) -> None:
        telemetry.emit(telemetry.DocumentAnswered(200, bytes_read=7))
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        telemetry.traced(failing)({}, CONTEXT)

    assert lines(said.readouterr().out)[-1]["BytesRead"] == [7]


def test_an_error_is_told_by_class_and_place_not_by_its_words() -> None:
    try:
        int("CANARY")
    except ValueError as error:
        told = [telemetry.error_name(error), *telemetry.locations(error)]

    assert told[0] == "ValueError"
    assert told[-1].startswith("test_telemetry.py:")
    assert "CANARY" not in str(told)


def test_an_error_out_of_a_recursion_is_told_in_few_words() -> None:
    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError) as error:
        recurse()

    assert 0 < len(telemetry.locations(error.value)) <= 20


def test_of_an_error_out_of_a_recursion_the_innermost_place_is_told() -> None:
    def innermost() -> None:
        raise ValueError

    def recurse(depth: int) -> None:
        if depth:
            recurse(depth - 1)
        innermost()

    with pytest.raises(ValueError, match=r"^$") as error:
        recurse(100)

    assert telemetry.locations(error.value)[-1].endswith(" innermost")
