"""The entry points: which event or request is handled by which code.

Chalice deploys two functions from this file: `data-processor` for uploads to the raw bucket, and the API for
`POST /process`. The code that they call is in chalicelib.
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
from chalicelib.events import S3_EVENT_TYPES, SUFFIX
from chalicelib.extraction import extract
from chalicelib.malformed import MalformedScan
from chalicelib.settings import Settings

SETTINGS = Settings.load(os.environ)

app = Chalice(app_name="ikerian-data-pipeline")
# API Gateway hands every posted document on as bytes. As text, what is not UTF-8 would be replaced. Only the
# deployment sees this setting: the running function would encode its answers in base64, too.
if "AWS_CHALICE_CLI_MODE" in os.environ:
    app.api.binary_types = ["*/*"]
app.register_middleware(ConvertToMiddleware(telemetry.instrumented))


def on_uploads(handler: Callable[[Any, Any], Any]) -> Any:
    """Have S3 invoke `handler` for each upload, or the upload queue, which Terraform connects."""
    if SETTINGS.upload_queue:
        return app.lambda_function(name="data-processor")(handler)
    connected: Any = app.on_s3_event(
        bucket=SETTINGS.raw_bucket, events=S3_EVENT_TYPES, suffix=SUFFIX, name="data-processor"
    )(wraps(handler)(lambda event: handler(event.to_dict(), event.context)))
    # Pass the whole event on. Chalice's own class has only the first record, and only of S3's direct events.
    connected.event_class = LambdaFunctionEvent
    return connected


@on_uploads
def data_processor(event: Any, context: Any) -> Any:
    """Publish the patients of each object that an event names."""
    remaining = context.get_remaining_time_in_millis
    return invocations.answer(event, object_store.connect(), SETTINGS, remaining)


@app.route(
    "/process",
    methods=["POST"],
    authorizer=IAMAuthorizer(),
    content_types=["application/json", "application/x-ndjson"],
)
def process() -> Response:
    """Answer with the patients of the posted document (200), or with an error (400, 413, 415, 500)."""
    response, event = _answer(cast("Request", app.current_request))
    telemetry.emit(event)
    return response


@app.middleware("http")
def replace_unsupported_media_type(request: Request, handler: Callable[[Request], Response]) -> Response:
    """Replace Chalice's response to a wrong content type, which quotes the header of the request."""
    response = handler(request)
    if response.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        response, event = _error(415, reason="neither application/json nor application/x-ndjson")
        telemetry.emit(event)
    return response


def _answer(request: Request) -> tuple[Response, log_events.Event]:
    try:
        return _extract(cast("bytes", request.raw_body))
    except MalformedScan as error:
        return _error(400, reason=error.reason, offset=error.offset)
    except TooLargeError as error:
        return _error(413, reason=str(error))
    except Exception as error:  # noqa: BLE001 - Chalice would log its message, which may quote a record
        response, _ = _error(500, reason="internal error")
        return response, log_events.DocumentFailed(safe_names.error_name(error), safe_names.locations(error))


def _extract(document: bytes) -> tuple[Response, log_events.Event]:
    answer = Answer()
    summary = extract([document], answer.write_processed, answer.write_rejected, bounded)
    body = answer.body(extracted=summary.extracted, rejected=summary.rejected)
    event = log_events.DocumentAnswered(200, summary.extracted, summary.rejected, summary.bytes_read)
    return Response(body, {"Content-Type": "application/json"}), event


def _error(status: int, **body: str | int) -> tuple[Response, log_events.Event]:
    return Response(body, status_code=status), log_events.DocumentAnswered(status)
