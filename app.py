"""The map of the system: what arrives, and what handles it.

Chalice deploys two functions from here: `data-processor` for uploads to the raw bucket, and the API
for `POST /process`. What they do is in chalicelib.
"""

import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from chalice import Chalice, ConvertToMiddleware, IAMAuthorizer, Response
from chalice.app import Request, S3Event

from chalicelib import invocations, object_store, telemetry
from chalicelib.answer import Answer, TooLargeError, bounded
from chalicelib.events import SUFFIX
from chalicelib.extraction import extract
from chalicelib.malformed import MalformedScan
from chalicelib.settings import Settings

SETTINGS = Settings.load(os.environ)
CHANGES_OF_WHAT_IS_CURRENT = [
    "s3:ObjectCreated:*",
    # A version, or a delete marker, is removed for good: what stood below it is current now. AWS documents
    # this for versions; that it is so for markers, too, is what `verify` tries on every stage.
    "s3:ObjectRemoved:Delete",
    # From an archive: only now can it be read.
    "s3:ObjectRestore:Completed",
]

app = Chalice(app_name="ikerian-data-pipeline")
app.register_middleware(ConvertToMiddleware(telemetry.traced))


class AnyEvent(S3Event):
    """An event as it comes, by whichever way. Chalice's own class reads the first record of one way only."""

    context: Any  # Lambda's; Chalice says dict

    def _extract_attributes(self, event_dict: dict[str, Any]) -> None:
        """Leave it to `events`."""


@app.on_s3_event(
    bucket=SETTINGS.raw_bucket, events=CHANGES_OF_WHAT_IS_CURRENT, suffix=SUFFIX, name="data-processor"
)
def data_processor(event: AnyEvent) -> Any:
    """Publish the patients of every object that an event names."""
    remaining = event.context.get_remaining_time_in_millis
    return invocations.answer(event.to_dict(), object_store.connect(), SETTINGS, remaining)


data_processor.event_class = AnyEvent


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
