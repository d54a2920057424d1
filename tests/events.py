"""Events as Lambda passes them to a function, with encoded keys; and a context."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

CONTEXT = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=1,
    invoked_function_arn="arn",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 900_000,
)


def s3_event(
    *objects: tuple[str, str], unencoded: str = "/", uploaded: float = 0, size: int | None = None
) -> dict[str, Any]:
    """Make S3's event about objects (bucket, key). `uploaded` is in seconds since 1970, `size` in bytes."""
    records = [_record(bucket, key, unencoded, uploaded) for bucket, key in objects]
    for record in records if size is not None else []:
        record["s3"]["object"]["size"] = size
    return {"Records": records}


def sqs_event(*bodies: str) -> dict[str, Any]:
    """Make the event of a batch of messages."""
    return {"Records": [{"eventSource": "aws:sqs", "body": body} for body in bodies]}


TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}


def api_event(body: str | None, headers: dict[str, str] | None, **more: Any) -> dict[str, Any]:
    """Make API Gateway's event of a request to POST /process."""
    nothing = ("multiValueQueryStringParameters", "pathParameters", "queryStringParameters", "stageVariables")
    return {
        **dict.fromkeys(nothing),
        "body": body,
        "headers": headers,
        "isBase64Encoded": False,
        "path": "/process",
        "requestContext": {"httpMethod": "POST", "resourcePath": "/process"},
        **more,
    }


def _record(bucket: str, key: str, unencoded: str, uploaded: float) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": datetime.fromtimestamp(uploaded, UTC).isoformat(),
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe=unencoded)}},
    }
