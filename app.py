"""The map of the system: what arrives, and what handles it.

Chalice deploys two functions from here: `data-processor` for uploads to the raw bucket, and the API
for `POST /process`. What they do is in chalicelib.
"""

import os
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, cast

from chalice import Chalice, ConvertToMiddleware, IAMAuthorizer, Response
from chalice.app import LambdaFunctionEvent, Request

from chalicelib import invocations, log_events, object_store, safe_names, telemetry
from chalicelib.answer import Answer, TooLargeError, bounded
from chalicelib.events import CHANGES_OF_WHAT_IS_CURRENT, SUFFIX
from chalicelib.extraction import extract
from chalicelib.malformed import MalformedScan
from chalicelib.settings import Settings

SETTINGS = Settings.load(os.environ)

app = Chalice(app_name="ikerian-data-pipeline")
app.register_middleware(ConvertToMiddleware(telemetry.instrumented))


def on_uploads(handler: Callable[[Any, Any], Any]) -> Any:
    """Have `handler` invoked with uploads: by S3, or by the upload queue, which Terraform connects."""
    if SETTINGS.upload_queue:
        return app.lambda_function(name="data-processor")(handler)
    connected: Any = app.on_s3_event(
        bucket=SETTINGS.raw_bucket, events=CHANGES_OF_WHAT_IS_CURRENT, suffix=SUFFIX, name="data-processor"
    )(wraps(handler)(lambda event: handler(event.to_dict(), event.context)))
    # The event as it is, whichever way it comes: Chalice's own class reads the first record of one way only.
    connected.event_class = LambdaFunctionEvent
    return connected


@on_uploads
def data_processor(event: Any, context: Any) -> Any:
    """Publish the patients of every object that an event names."""
    remaining = context.get_remaining_time_in_millis
    return invocations.answer(event, object_store.connect(), SETTINGS, remaining)


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


def _answered(request: Request) -> tuple[Response, log_events.Event]:
    try:
        return _extracted(cast("bytes", request.raw_body))
    except MalformedScan as error:
        return _refused(400, reason=error.reason, offset=error.offset)
    except TooLargeError as error:
        return _refused(413, reason=str(error))
    except Exception as error:  # noqa: BLE001 - Chalice would log its message, which may quote a record
        response, _ = _refused(500, reason="internal error")
        return response, log_events.DocumentFailed(safe_names.error_name(error), safe_names.locations(error))


def _extracted(document: bytes) -> tuple[Response, log_events.Event]:
    answer = Answer()
    summary = extract([document], answer.write_processed, answer.write_rejected, bounded)
    body = answer.body(extracted=summary.extracted, rejected=summary.rejected)
    event = log_events.DocumentAnswered(200, summary.extracted, summary.rejected, summary.bytes_read)
    return Response(body, {"Content-Type": "application/json"}), event


def _refused(status: int, **why: str | int) -> tuple[Response, log_events.Event]:
    return Response(why, status_code=status), log_events.DocumentAnswered(status)
