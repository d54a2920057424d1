"""Events, valid and invalid: an invalid record does not stop the others, and its content is not logged."""

import json
import time
import traceback
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import data_processor
from chalicelib import events, safe_names
from chalicelib.deadline import MARGIN
from chalicelib.events import Arrival
from chalicelib.invocations import UploadsFailedError, handle
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings
from tests.canaries import CANARY
from tests.deployment import Deployment, new_key
from tests.events import CONTEXT, TEST_EVENT, s3_event

SCAN = b'[{"patient_id":"P-1","patient_name":"Ada"}]'
SETTINGS = Settings("raw", "processed", "rejected")


def record(key: Any, bucket: Any = "raw") -> dict[str, Any]:
    return of_s3({"bucket": {"name": bucket}, "object": {"key": key}})


def of_s3(about: Any) -> dict[str, Any]:
    return {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": about}


UNREADABLE: dict[str, Any] = {
    "null": None,
    "a number": 7,
    "a string": CANARY,
    "a list": [CANARY],
    "empty": {},
    "no s3": {CANARY: CANARY},
    "s3 is null": of_s3(None),
    "s3 is a list": of_s3([CANARY]),
    "no bucket": of_s3({"object": {"key": CANARY}}),
    "bucket is a string": of_s3({"bucket": CANARY, "object": {"key": CANARY}}),
    "no object": of_s3({"bucket": {"name": "raw"}}),
    "no key": of_s3({"bucket": {"name": "raw"}, "object": {CANARY: 1}}),
    "another source": record("a.json") | {"eventSource": CANARY},
    "another event": record("a.json") | {"eventName": "ObjectTagging:Put"},
    "name of the event is a number": record("a.json") | {"eventName": 7},
    "key is null": record(None),
    "key is a number": record(7),
    "key is a list": record([CANARY]),
    "key is an object": record({CANARY: 1}),
    "key is half a character": record(f"{CANARY}-%C3.json"),
    "key is not UTF-8": record(f"{CANARY}-%FF.json"),
    "key is half a surrogate pair": record(f"{CANARY}-\ud800.json"),
    "key is an encoded surrogate": record(f"{CANARY}-%ED%A0%80.json"),
}
FOREIGN: dict[str, Any] = {
    "another bucket": record("a.json", CANARY),
    "bucket is null": record("a.json", None),
    "bucket is a list": record("a.json", [CANARY]),
    "bucket is an object": record("a.json", {CANARY: 1}),
}


def arrivals(*records: Any) -> list[Arrival | None]:
    return events.arrivals({"Records": list(records)})


def failure(records: list[Any], remaining: int = 60_000) -> str:
    """Handle an event whose records cause no request; returns the message of the error."""
    nowhere = boto3.client("s3", "us-east-1", aws_access_key_id="no", aws_secret_access_key="no")  # noqa: S106 - not a real one
    with pytest.raises(UploadsFailedError) as error:
        handle(arrivals(*records), ObjectStore(nowhere), SETTINGS, lambda: remaining)
    return str(error.value)


@pytest.mark.parametrize("invalid", UNREADABLE.values(), ids=UNREADABLE)
def test_a_record_that_names_no_object_does_not_stop_the_others(invalid: Any) -> None:
    before, after = Arrival("raw", "a.json"), Arrival("raw", "b.json")

    assert arrivals(record("a.json"), invalid, record("b.json")) == [before, None, after]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["/", "", "/!~*'()"]))
def test_every_key_is_decoded_to_the_uploaded_key(key: str, unencoded: str) -> None:
    event = s3_event(("raw", key), unencoded=unencoded)

    assert arrivals(*event["Records"]) == [Arrival("raw", key)]


def test_a_percent_sign_that_encodes_nothing_is_kept() -> None:
    assert arrivals(record("100%.json"), record("%zz.json")) == [
        Arrival("raw", "100%.json"),
        Arrival("raw", "%zz.json"),
    ]


@pytest.mark.parametrize("invalid", [*UNREADABLE.values(), *FOREIGN.values()], ids=[*UNREADABLE, *FOREIGN])
def test_an_invalid_record_fails_the_invocation_without_its_content_in_the_log(
    invalid: Any, captured: pytest.CaptureFixture[str]
) -> None:
    assert CANARY not in failure([invalid])
    assert CANARY not in "".join(captured.readouterr())


def test_an_event_of_thousands_of_records_fails_with_a_short_message() -> None:
    message = failure([record(f"{n}.json", "foreign") for n in range(2000)] + [None] * 2000)

    assert message.startswith("4000 of 4000 uploads: ")
    assert message.endswith("; and 3990 more")
    assert len(message) < 1000


def test_an_event_that_is_too_large_fails_before_the_timeout() -> None:
    message = failure([record("a.json"), record("b.json")], remaining=MARGIN - 1)

    assert message.startswith("2 of 2 uploads: ")
    errors = [each.partition(" ")[2] for each in message.removeprefix("2 of 2 uploads: ").split("; ")]
    assert errors == ["OutOfTimeError too little time is left"] * 2


def test_duplicates_in_one_event_are_one_upload(deployment: Deployment) -> None:
    key = new_key()
    deployment.s3.put_object(Bucket=deployment.raw, Key=f"{key}.unannounced", Body=SCAN)

    assert deployment.invoke(*[(deployment.raw, f"{key}.unannounced")] * 2000) is None

    assert versions(deployment, f"{key}.unannounced") == 1


def versions(deployment: Deployment, key: str) -> int:
    listing = deployment.s3.list_object_versions(Bucket=deployment.processed, Prefix=key)
    return len(listing.get("Versions", []))


def test_the_deployed_function_publishes_the_valid_records_between_invalid_ones(
    deployment: Deployment,
) -> None:
    keys = [f"{new_key()}.unannounced" for _ in range(3)]
    for key in keys:
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=SCAN)
    good = s3_event(*((deployment.raw, key) for key in keys))["Records"]
    invalid = [*UNREADABLE.values(), *FOREIGN.values()]

    error = deployment.invoke_with({"Records": [good[0], *invalid[:9], good[1], *invalid[9:], good[2]]})

    assert error is not None
    assert error["errorMessage"].startswith(f"{len(invalid)} of {len(invalid) + 3} uploads: ")
    assert CANARY not in json.dumps(error)
    assert [versions(deployment, key) for key in keys] == [1, 1, 1]
    deployment.logged("records_unreadable", records=len(UNREADABLE))


def notification(name: str = "ObjectCreated:Put", when: str = "2026-01-02T03:04:05.678Z") -> dict[str, Any]:
    about = {"bucket": {"name": "raw"}, "object": {"key": "a+b.json", "size": 7}}
    return {"Records": [of_s3(about) | {"eventName": name, "eventTime": when}]}


def through_eventbridge(what: str = "Object Created") -> dict[str, Any]:
    detail = {"bucket": {"name": "raw"}, "object": {"key": "a b.json", "size": 7}}
    return {"source": "aws.s3", "detail-type": what, "time": "2026-01-02T03:04:05Z", "detail": detail}


def through_sqs(event: Any) -> dict[str, Any]:
    return {"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": json.dumps(event)}]}


def through_sns(event: Any) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(event)}}]}


def through_sns_and_sqs(event: Any) -> dict[str, Any]:
    return through_sqs({"Type": "Notification", "Message": json.dumps(event)})


def failed(event: Any, condition: Any = "RetriesExhausted") -> dict[str, Any]:
    """Make the record that Lambda writes to the failure queue."""
    context = {"requestId": "1", "functionArn": "arn", "condition": condition}
    return {"version": "1.0", "requestContext": context, "requestPayload": event}


ENVELOPES = [
    lambda event: event,
    through_sqs,
    through_sns,
    through_sns_and_sqs,
    failed,
    lambda event: failed(event, "EventAgeExceeded"),
    lambda event: failed(event, "ZeroReservedConcurrency"),
    lambda event: failed(through_sqs(event)),
]


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize(
    ("event", "uploaded", "size"),
    [
        (notification(), 1767323045.678, 7),
        (notification("ObjectRemoved:Delete"), 0, None),
        (notification("ObjectRestore:Completed"), 0, None),
        (notification("ObjectCreated:CompleteMultipartUpload"), 1767323045.678, 7),
        (through_eventbridge(), 1767323045, 7),
        (through_eventbridge("Object Deleted"), 0, None),
        (through_eventbridge("Object Restore Completed"), 0, None),
    ],
)
def test_an_event_names_its_object_whichever_service_delivers_it(
    envelope: Callable[[Any], Any], event: Any, uploaded: float, size: int | None
) -> None:
    assert events.arrivals(envelope(event)) == [Arrival("raw", "a b.json", uploaded, size)]


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_test_event_names_nothing_whichever_service_delivers_it(envelope: Callable[[Any], Any]) -> None:
    assert events.arrivals(envelope(TEST_EVENT)) == []


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in event.items() if each != name}


@pytest.mark.parametrize(
    "event",
    [
        *[
            notification(name)
            for name in ("ObjectRestore:Post", "ObjectRemoved:DeleteMarkerCreated", "", CANARY)
        ],
        *[notification(name) for name in ("s3:ObjectCreated:Put", "ObjectCreated", "TestObjectCreated:Put")],
        *[through_eventbridge(name) for name in ("Object Tags Added", "ObjectCreated:Put", "", CANARY)],
        *[through_eventbridge() | {"source": source} for source in ("aws.events", "aws:s3", "")],
        *[without(through_eventbridge(), name) for name in ("source", "detail-type", "time", "detail")],
        *[without(notification()["Records"][0], name) for name in ("eventSource", "eventName", "s3")],
        {"Records": [{"eventSource": "aws:s3", "body": json.dumps(notification())}]},
        {"Records": [{"EventSource": "aws:sqs", "Sns": {"Message": json.dumps(notification())}}]},
        {"Records": [{"Sns": {"Message": json.dumps(notification())}}]},
        {"Type": "SubscriptionConfirmation", "Message": json.dumps(notification())},
        *[failed(notification(), condition) for condition in ("Success", None, CANARY)],
        *[TEST_EVENT | {"Service": service} for service in ("Amazon SNS", "")],
        without(TEST_EVENT, "Service"),
    ],
    ids=lambda event: json.dumps(event)[:60],
)
def test_an_event_that_names_another_service_or_kind_names_no_object(event: dict[str, Any]) -> None:
    assert events.arrivals(event) == [None]


def test_a_key_that_several_records_name_has_the_time_of_the_latest(deployment: Deployment) -> None:
    old, young = (s3_event((deployment.raw, "a.json"), uploaded=when)["Records"] for when in (1, time.time()))

    error = deployment.invoke_with({"Records": [*old, *young, *old]})

    assert error is not None
    assert error["errorMessage"] == f"1 of 1 uploads: {named('a.json')} UnseenError"


def nested(depth: int) -> Any:
    return json.loads('{"Records":[' * depth + "1" + "]}" * depth)


@pytest.mark.parametrize(
    "event",
    [
        None,
        7,
        CANARY,
        [CANARY],
        {},
        {"Records": None},
        {"Records": 7},
        {"Records": []},
        {"Records": CANARY},
        {"Records": {CANARY: 1}},
        {"Records": [{"eventSource": "aws:sqs", "body": CANARY}]},
        {"Records": [{"eventSource": "aws:sqs", "body": "[" * 100_000}]},
        {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": CANARY}}]},
        {"Event": CANARY},
        {"source": "aws.events", "detail-type": "Scheduled Event", "time": "", "detail": {}},
        notification(when=CANARY),
        nested(50),
    ],
    ids=lambda event: str(event)[:40],
)
def test_anything_but_an_event_of_s3_fails_without_its_content_in_the_log(
    event: Any, captured: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UploadsFailedError, match=r"^1 of 1 uploads: unreadable record$") as error:
        data_processor(event, CONTEXT)

    assert CANARY not in "".join(traceback.format_exception(error.value))
    output = "".join(captured.readouterr())
    assert '"RecordsUnreadable":[1' in output
    assert CANARY not in output


def test_a_key_without_an_object_fails_the_invocation_only_if_s3_refuses_the_key(
    deployment: Deployment,
) -> None:
    odd = ["/a//../..", "\x01\x7f\t", ".", "..", "%", "+ %2B", "\u202e\ufeff\uffff", "x" * 1024]

    assert deployment.invoke(*((deployment.raw, key) for key in odd)) is None
    error = deployment.invoke((deployment.raw, ""))

    assert error is not None
    assert error["errorMessage"].endswith(f" {named('')} ObjectStoreError head_object: ParamValidationError")


def named(key: str) -> str:
    return safe_names.object_name(key, log_object_keys=False).digest


def test_an_upload_without_a_time_or_with_an_invalid_size_in_its_event_is_published() -> None:
    event = notification()
    (record_of_upload,) = event["Records"]
    del record_of_upload["eventTime"]
    record_of_upload["s3"]["object"]["size"] = "7"

    assert events.arrivals(event) == [Arrival("raw", "a b.json", 0, None)]


def test_a_test_event_succeeds_and_is_logged(captured: pytest.CaptureFixture[str]) -> None:
    assert data_processor(TEST_EVENT, CONTEXT) is None

    assert '"message":"no_uploads"' in captured.readouterr().out
