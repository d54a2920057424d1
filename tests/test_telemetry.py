"""Log events and metrics: a closed list without free text, so that no patient data is logged."""

import json
import os
import re
import subprocess
import sys
import textwrap
from typing import Any, get_type_hints

import msgspec
import pytest

from chalicelib import log_events, safe_names, telemetry
from chalicelib.malformed import Reason
from infra.ops.local.cloud import ROOT
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


OBJECT = safe_names.object_name("a.json", log_object_keys=False)
VERSION, ERROR = safe_names.Version("1"), safe_names.ErrorName("KeyError")
# Every event, with its level and the metrics that it counts.
EVENTS: list[tuple[log_events.Event, str, dict[str, int]]] = [
    (log_events.FunctionStarted(VERSION, []), "INFO", {}),
    (log_events.NoUploads(), "INFO", {}),
    (log_events.RecordsUnreadable(2), "ERROR", {"RecordsUnreadable": 2}),
    (log_events.ObjectsRepaired(2), "WARNING", {"ObjectsRepaired": 2}),
    (log_events.MessagesFailed(2), "ERROR", {"MessagesFailed": 2}),
    (
        log_events.ObjectPublished(OBJECT, VERSION, 2, 3, 4, 5, replaced=False),
        "WARNING",
        {
            "ObjectsProcessed": 1,
            "RecordsExtracted": 2,
            "RecordsRejected": 3,
            "BytesRead": 4,
            "Duration": 5,
        },
    ),
    (
        log_events.ObjectPublished(OBJECT, VERSION, 2, 0, 4, 5, replaced=False),
        "INFO",
        {
            "ObjectsProcessed": 1,
            "RecordsExtracted": 2,
            "RecordsRejected": 0,
            "BytesRead": 4,
            "Duration": 5,
        },
    ),
    (log_events.ObjectUnchanged(OBJECT, VERSION), "INFO", {"ObjectsUnchanged": 1}),
    (log_events.ObjectMissing(OBJECT, deleted=False), "INFO", {"ObjectsMissing": 1}),
    (
        log_events.ObjectMalformed(OBJECT, VERSION, Reason.EMPTY, 2, 3),
        "WARNING",
        {"ObjectsMalformed": 1, "Duration": 3},
    ),
    (
        log_events.ObjectRefused(OBJECT, VERSION, 2, 3, 4),
        "WARNING",
        {
            "ObjectsMalformed": 1,
            "ObjectsRefused": 1,
            "RecordsRejected": 2,
            "BytesRead": 3,
            "Duration": 4,
        },
    ),
    (log_events.ObjectEmpty(OBJECT, VERSION), "INFO", {"ObjectsEmpty": 1}),
    (log_events.ObjectOvertaken(OBJECT, 2), "INFO", {}),
    (log_events.ObjectFailed(OBJECT, ERROR, []), "ERROR", {"ObjectsFailed": 1}),
    (
        log_events.DocumentAnswered(200, 2, 3, 4),
        "INFO",
        {"RecordsExtracted": 2, "RecordsRejected": 3, "BytesRead": 4},
    ),
    (log_events.DocumentFailed(ERROR, []), "ERROR", {"DocumentsFailed": 1}),
]
UNITS = {"BytesRead": "Bytes", "Duration": "Milliseconds"}  # all others are counts


def test_every_event_is_in_the_list_above() -> None:
    assert {type(event) for event, *_ in EVENTS} == set(events()) - {log_events.ObjectEvent}


@pytest.mark.parametrize(("event", "level", "counted"), EVENTS, ids=lambda value: type(value).__name__)
def test_an_event_has_this_level_and_counts_these_metrics(
    captured: pytest.CaptureFixture[str], event: log_events.Event, level: str, counted: dict[str, int]
) -> None:
    telemetry.instrumented(lambda _event, _context: telemetry.emit(event))({}, CONTEXT)

    logged, *metrics = lines(captured.readouterr().out)
    assert logged["level"] == level
    assert {name: [value] for name, value in counted.items()} == {
        name: line[name] for line in metrics for name in log_events.METRICS if name in line
    }
    for directive in (line["_aws"]["CloudWatchMetrics"][0] for line in metrics):
        assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
            name: UNITS.get(name, "Count") for name in counted
        }


ALARMED = {
    (metric, function)
    for metric, function in re.findall(
        r"metric     = local\.metrics\.(\w+)\n\s*dimensions = \{ function_name = local\.(\w+)_name \}",
        (ROOT / "infra/operations/cloudwatch.tf").read_text(),
    )
}


def test_no_alarm_refers_to_an_event_that_a_log_level_can_hide() -> None:
    of_the_api = (log_events.DocumentAnswered, log_events.DocumentFailed)
    hidden = [
        (metric, event)
        for event, _, counted in EVENTS
        for metric, value in counted.items()
        if event.severity() == "info" and value
        if (metric, "api" if isinstance(event, of_the_api) else "data_processor") in ALARMED
    ]

    assert hidden == []
    assert {metric for metric, _ in ALARMED} >= {"ObjectsMalformed", "ObjectsFailed", "RecordsRejected"}
    assert len(ALARMED) >= 6


@pytest.mark.parametrize(
    ("variable", "quietest"),
    [("LOG_LEVEL", "CRITICAL"), ("POWERTOOLS_LOG_LEVEL", "FATAL"), ("AWS_LAMBDA_LOG_LEVEL", "FATAL")],
)
def test_the_quietest_setting_hides_only_events_without_an_alarm(variable: str, quietest: str) -> None:
    program = """
        from chalicelib import telemetry
        from tests.test_telemetry import EVENTS
        for event, *_ in EVENTS:
            telemetry.emit(event)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        env={**os.environ, variable: quietest},
        capture_output=True,
        check=True,
        text=True,
    )

    assert [line["level"] for line in lines(done.stdout)] == [
        level for _, level, _ in EVENTS if level != "INFO"
    ]


def test_a_line_has_no_key_of_an_earlier_invocation(captured: pytest.CaptureFixture[str]) -> None:
    def handler(event: dict[str, bool], _context: object) -> None:
        if event["first"]:
            telemetry._logger().append_keys(patient="CANARY")  # noqa: SLF001 - as a library could
        telemetry.emit(log_events.NoUploads())

    instrumented = telemetry.instrumented(handler)
    instrumented({"first": True}, CONTEXT)
    assert "CANARY" in captured.readouterr().out
    instrumented({"first": False}, CONTEXT)

    assert "CANARY" not in captured.readouterr().out


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


def test_an_error_raised_deep_in_a_recursion_is_logged_with_its_innermost_location() -> None:
    def innermost() -> None:
        raise ValueError

    def recurse(depth: int) -> None:
        if depth:
            recurse(depth - 1)
        innermost()

    with pytest.raises(ValueError, match=r"^$") as error:
        recurse(100)

    assert safe_names.locations(error.value)[-1].endswith(" innermost")
