"""The function that publishes uploads, asked to handle one: it says what has failed."""

import json
import time
from typing import Any
from urllib.parse import quote_plus

import boto3
from botocore.config import Config

from infra.ops.aws.target import Target

LONGEST = 15 * 60  # seconds that a function may take
PAUSE = 1  # seconds
# Causes that pass by themselves: a new bucket does not show, or not always, what has been written to it.
PASSING = ("UnseenError", "ContentionError")


class Processor:
    """`data-processor`, by its synchronous invocation."""

    def __init__(self, target: Target) -> None:
        self._target = target
        once = Config(read_timeout=LONGEST, retries={"total_max_attempts": 1}, tcp_keepalive=True)
        self._functions: Any = boto3.client("lambda", region_name=target.region, config=once)

    def ask(self, key: str) -> str | None:
        """Send the event of an upload; returns what the function says has failed."""
        answer = self._invoke(json.dumps(_event(self._target.buckets.raw, key)).encode())
        said = json.loads(answer["Payload"].read())
        return str(said.get("errorMessage", said)) if "FunctionError" in answer else None

    def _invoke(self, event: bytes) -> Any:
        """Repeat what is throttled: the only invocation that is allowed may be the one that S3 has sent."""
        deadline = time.monotonic() + self._target.patience.upload
        while True:
            try:
                return self._functions.invoke(FunctionName=self._target.function, Payload=event)
            except self._functions.exceptions.TooManyRequestsException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE)


def passes(failure: str) -> bool:
    """Say whether it may be another one, or none, a moment later."""
    return failure.endswith(PASSING)


def _event(bucket: str, key: str) -> dict[str, Any]:
    about = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": about}]}
