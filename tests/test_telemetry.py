"""What the functions say: a closed vocabulary, in which no patient's word has a place."""

import json
from typing import Any, get_type_hints

import msgspec
import pytest

from chalicelib import log_events, safe_names, telemetry
from chalicelib.malformed import Reason
from tests.events import CONTEXT

NUMBERS = {int, bool}
NAMES = {
    safe_names.CodeLocation,
    safe_names.ErrorName,
    safe_names.ObjectDigest,
    safe_names.ObjectKey,
    Reason,
    safe_names.Version,
}


def events(base: type[log_events.Event] = log_events.Event) -> list[type[log_events.Event]]:
    return [event for child in base.__subclasses__() for event in (child, *events(child))]


@pytest.mark.parametrize("event", events())
def test_no_field_of_an_event_takes_free_text(event: type[log_events.Event]) -> None:
    allowed = {*NUMBERS, *NAMES, *(list[name] for name in NAMES), safe_names.ObjectName}  # type: ignore[valid-type] # built at run time

    types = get_type_hints(event)

    assert {types[field] for field in event.__struct_fields__} <= allowed


def test_an_object_is_named_by_digest_and_by_key_only_if_allowed() -> None:
    assert safe_names.object_name("in/Ada Lovelace.json", log_object_keys=False).key is None
    assert safe_names.object_name("in/Ada Lovelace.json", log_object_keys=True).key == "in/Ada Lovelace.json"
    # The first digits of: printf %s 'in/Ada Lovelace.json' | sha256sum
    name = safe_names.object_name("in/Ada Lovelace.json", log_object_keys=False)
    assert name.digest == "26c299b37601a2bb"


@pytest.mark.parametrize("event", events())
def test_an_event_counts_registered_metrics_from_fields_that_it_has(event: type[log_events.Event]) -> None:
    assert set(event.counts) <= set(log_events.METRICS)
    assert set(event.counts.values()) - {""} <= set(event.__struct_fields__)


def test_every_metric_is_moved_by_some_event() -> None:
    assert {metric for event in events() for metric in event.counts} == set(log_events.METRICS)


def lines(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines()]


def test_an_event_is_one_line_and_its_metrics_another(said: pytest.CaptureFixture[str]) -> None:
    outcome = log_events.DocumentAnswered(status=200, extracted=3, rejected=1, bytes_read=99)

    telemetry.instrumented(lambda _event, _context: telemetry.emit(outcome))({}, CONTEXT)

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

    telemetry.instrumented(lambda _event, _context: None)({"body": "CANARY"}, CONTEXT)

    assert "CANARY" not in "".join(said.readouterr())


def test_no_environment_variable_adds_a_dimension(
    said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "other")
    telemetry._metrics.cache_clear()  # noqa: SLF001 - as at a cold start

    telemetry.instrumented(lambda _event, _context: telemetry.emit(log_events.DocumentAnswered(200)))(
        {}, CONTEXT
    )

    (directive,) = lines(said.readouterr().out)[-1]["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["function_name"]]


def test_the_trace_id_that_a_caller_sends_is_not_logged(
    said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=CANARY;Parent=CANARY")

    telemetry.instrumented(lambda _event, _context: telemetry.emit(log_events.NoUploads()))({}, CONTEXT)

    assert "CANARY" not in "".join(said.readouterr())


def test_what_an_alarm_points_at_is_logged_louder_than_what_goes_well(
    said: pytest.CaptureFixture[str],
) -> None:
    name = safe_names.object_name("a.json", log_object_keys=False)
    reason, version, error = (
        Reason.EMPTY,
        safe_names.Version("1"),
        safe_names.ErrorName("KeyError"),
    )
    for event in (
        log_events.NoUploads(),
        log_events.ObjectMalformed(name, version=version, reason=reason, offset=0, milliseconds=1),
        log_events.ObjectFailed(name, error, []),
        log_events.DocumentFailed(error, []),
        log_events.RecordsUnreadable(1),
    ):
        telemetry.emit(event)

    levels = [line["level"] for line in lines(said.readouterr().out)]

    assert levels == ["INFO", "WARNING", "ERROR", "ERROR", "ERROR"]


def test_metrics_are_flushed_when_the_handler_fails(said: pytest.CaptureFixture[str]) -> None:
    def failing(_event: object, _context: object) -> None:
        telemetry.emit(log_events.DocumentAnswered(200, bytes_read=7))
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        telemetry.instrumented(failing)({}, CONTEXT)

    assert lines(said.readouterr().out)[-1]["BytesRead"] == [7]


def test_an_error_is_told_by_class_and_place_not_by_its_words() -> None:
    try:
        int("CANARY")
    except ValueError as error:
        told = [safe_names.error_name(error), *safe_names.locations(error)]

    assert told[0] == "ValueError"
    assert told[-1].startswith("test_telemetry.py:")
    assert "CANARY" not in str(told)


def test_an_error_out_of_a_recursion_is_told_in_few_words() -> None:
    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError) as error:
        recurse()

    assert 0 < len(safe_names.locations(error.value)) <= 20
