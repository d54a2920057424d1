"""Log events and metrics: a closed list without free text, so that no patient data is logged."""

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


def test_an_object_is_logged_by_its_digest_and_by_its_key_only_if_allowed() -> None:
    assert safe_names.object_name("in/Ada Lovelace.json", log_object_keys=False).key is None
    assert safe_names.object_name("in/Ada Lovelace.json", log_object_keys=True).key == "in/Ada Lovelace.json"
    # The first digits of: printf %s 'in/Ada Lovelace.json' | sha256sum
    name = safe_names.object_name("in/Ada Lovelace.json", log_object_keys=False)
    assert name.digest == "26c299b37601a2bb"


@pytest.mark.parametrize("event", events())
def test_an_event_counts_known_metrics_from_its_own_fields(event: type[log_events.Event]) -> None:
    assert set(event.counts) <= set(log_events.METRICS)
    assert set(event.counts.values()) - {""} <= set(event.__struct_fields__)


def test_every_metric_is_counted_by_an_event() -> None:
    assert {metric for event in events() for metric in event.counts} == set(log_events.METRICS)


def lines(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines()]


def test_an_event_is_one_line_and_its_metrics_are_another(captured: pytest.CaptureFixture[str]) -> None:
    outcome = log_events.DocumentAnswered(status=200, extracted=3, rejected=1, bytes_read=99)

    telemetry.instrumented(lambda _event, _context: telemetry.emit(outcome))({}, CONTEXT)

    *_, logged, metrics = lines(captured.readouterr().out)
    assert logged["message"] == "document_answered"
    assert logged["function_request_id"] == "request"
    assert {field: logged[field] for field in outcome.__struct_fields__} == msgspec.to_builtins(outcome)
    # The alarms and the dashboard use this dimension only.
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["function_name"]]
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == telemetry.NAMESPACE
    assert (metrics["RecordsExtracted"], metrics["RecordsRejected"], metrics["BytesRead"]) == ([3], [1], [99])


def test_no_environment_variable_has_whole_events_logged(
    captured: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")

    telemetry.instrumented(lambda _event, _context: None)({"body": "CANARY"}, CONTEXT)

    assert "CANARY" not in "".join(captured.readouterr())


def test_no_environment_variable_adds_a_dimension(
    captured: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "other")
    telemetry._metrics.cache_clear()  # noqa: SLF001 - as after a cold start

    telemetry.instrumented(lambda _event, _context: telemetry.emit(log_events.DocumentAnswered(200)))(
        {}, CONTEXT
    )

    (directive,) = lines(captured.readouterr().out)[-1]["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["function_name"]]


def test_a_trace_id_from_the_caller_is_not_logged(
    captured: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=CANARY;Parent=CANARY")

    telemetry.instrumented(lambda _event, _context: telemetry.emit(log_events.NoUploads()))({}, CONTEXT)

    assert "CANARY" not in "".join(captured.readouterr())


def test_events_that_an_alarm_refers_to_have_a_higher_level(
    captured: pytest.CaptureFixture[str],
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

    levels = [line["level"] for line in lines(captured.readouterr().out)]

    assert levels == ["INFO", "WARNING", "ERROR", "ERROR", "ERROR"]


def test_metrics_are_flushed_when_the_handler_fails(captured: pytest.CaptureFixture[str]) -> None:
    def failing(_event: object, _context: object) -> None:
        telemetry.emit(log_events.DocumentAnswered(200, bytes_read=7))
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        telemetry.instrumented(failing)({}, CONTEXT)

    assert lines(captured.readouterr().out)[-1]["BytesRead"] == [7]


def test_an_error_is_logged_by_class_and_location_without_its_message() -> None:
    try:
        int("CANARY")
    except ValueError as error:
        logged = [safe_names.error_name(error), *safe_names.locations(error)]

    assert logged[0] == "ValueError"
    assert logged[-1].startswith("test_telemetry.py:")
    assert "CANARY" not in str(logged)


def test_a_recursion_error_is_logged_with_few_locations() -> None:
    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError) as error:
        recurse()

    assert 0 < len(safe_names.locations(error.value)) <= 20
