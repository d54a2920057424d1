"""The map of the system: what arrives, and what handles it.

Chalice deploys two functions from here: `data-processor` for uploads to the raw bucket, and the API
for `POST /process`. What they do is in chalicelib.
"""

import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from chalice import Chalice, ConvertToMiddleware, IAMAuthorizer, Response
from chalice.app import Request, S3Event

from chalicelib import object_store, pipeline, telemetry
from chalicelib.answer import Answer, TooLargeError, bounded
from chalicelib.extraction import extract
from chalicelib.malformed import MalformedScan
from chalicelib.settings import Settings

SETTINGS = Settings.load(os.environ)

app = Chalice(app_name="ikerian-data-pipeline")
app.register_middleware(ConvertToMiddleware(telemetry.traced))


class UploadEvent(S3Event):
    """An S3 notification as it comes: with any number of records, an `s3:TestEvent` with none.

    Chalice's own class reads the first record only, and fails where there is none.
    """

    context: Any  # Lambda's; Chalice says dict

    def _extract_attributes(self, event_dict: dict[str, Any]) -> None:
        self.arrivals = [_arrival(record) for record in event_dict.get("Records", [])]


def _arrival(record: Any) -> pipeline.Arrival | None:
    """Read which object a record names; None if it names none, so that it does not hide the others."""
    try:
        bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        # Strictly: with U+FFFD for what is not UTF-8, it would be the key of some other object.
        key = unquote_to_bytes(key.replace("+", " ")).decode()
        return pipeline.Arrival(str(bucket), key)  # str: of whatever it is, to be refused as foreign
    except (AttributeError, LookupError, TypeError, UnicodeError):
        return None


@app.on_s3_event(
    bucket=SETTINGS.raw_bucket, events=["s3:ObjectCreated:*"], suffix=".json", name="data-processor"
)
def data_processor(event: UploadEvent) -> None:
    """Publish the patients of every uploaded object."""
    remaining = event.context.get_remaining_time_in_millis
    pipeline.handle(event.arrivals, object_store.connect(), SETTINGS, remaining)


data_processor.event_class = UploadEvent


@app.route(
    "/process",
    methods=["POST"],
    authorizer=IAMAuthorizer(),
    content_types=["application/json", "application/x-ndjson"],
)
def process() -> Response:
    """Answer with the patients of the posted document: 200; or 400, 413, 415 and why."""
    response, event = _answered(cast("Request", app.current_request))
    telemetry.emit(event)
    return response


@app.middleware("http")
def in_our_words(request: Request, answer: Callable[[Request], Response]) -> Response:
    """Refuse other content types as everything else is refused; Chalice's own words quote them."""
    response = answer(request)
    if response.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        response, event = _refused(415, reason="neither application/json nor application/x-ndjson")
        telemetry.emit(event)
    return response


def _answered(request: Request) -> tuple[Response, telemetry.Event]:
    try:
        return _extracted(cast("bytes", request.raw_body))
    except MalformedScan as error:
        return _refused(400, reason=error.reason, offset=error.offset)
    except TooLargeError as error:
        return _refused(413, reason=str(error))
    except Exception as error:  # noqa: BLE001 - Chalice would log its message, which may quote a record
        response, _ = _refused(500, reason="internal error")
        return response, telemetry.DocumentFailed(telemetry.error_name(error), telemetry.locations(error))


def _extracted(document: bytes) -> tuple[Response, telemetry.Event]:
    answer = Answer()
    summary = extract([document], answer.write_processed, answer.write_rejected, bounded)
    body = answer.body(extracted=summary.extracted, rejected=summary.rejected)
    event = telemetry.DocumentAnswered(200, summary.extracted, summary.rejected, summary.bytes_read)
    return Response(body, {"Content-Type": "application/json"}), event


def _refused(status: int, **why: str | int) -> tuple[Response, telemetry.Event]:
    return Response(why, status_code=status), telemetry.DocumentAnswered(status)
