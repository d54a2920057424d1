"""Synchronous invocations of the function `data-processor`, which report what failed."""

import json
import time
from typing import Any
from urllib.parse import quote_plus

import boto3
from botocore.config import Config

from infra.ops.aws.target import Target

READ_TIMEOUT = 15 * 60  # seconds; Lambda's longest function timeout
RETRY_SECONDS = 1  # between two attempts
# Transient causes: S3 may hide an object of a new bucket for some minutes.
TRANSIENT = ("UnseenError", "ContentionError")


class Processor:
    """The function `data-processor` of a stage."""

    def __init__(self, target: Target) -> None:
        self._target = target
        once = Config(read_timeout=READ_TIMEOUT, retries={"total_max_attempts": 1}, tcp_keepalive=True)
        self._functions: Any = boto3.client("lambda", region_name=target.region, config=once)

    def process(self, key: str) -> str | None:
        """Send the event of an upload; returns the function's error message, None if it succeeded."""
        answer = self._invoke(json.dumps(_event(self._target.buckets.raw, key)).encode())
        result = json.loads(answer["Payload"].read())
        return str(result.get("errorMessage", result)) if "FunctionError" in answer else None

    def _invoke(self, event: bytes) -> Any:
        """Retry while throttled: with a concurrency of 1, an event of S3's may occupy the function."""
        deadline = time.monotonic() + self._target.patience.upload
        while True:
            try:
                return self._functions.invoke(FunctionName=self._target.function, Payload=event)
            except self._functions.exceptions.TooManyRequestsException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_SECONDS)


def is_transient(error: str) -> bool:
    """Say whether a retry may end otherwise."""
    return error.endswith(TRANSIENT)


def _event(bucket: str, key: str) -> dict[str, Any]:
    about = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": about}]}
