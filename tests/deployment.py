"""The deployed application, for tests."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from infra.ops.aws.posting import Answer, post
from infra.ops.aws.uploads import Outcome, read, upload
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import REGION
from tests.events import TEST_EVENT, s3_event

FUNCTION = "ikerian-data-pipeline-local-data-processor"
WITHIN = 30  # seconds


class Deployment:
    """Buckets, functions and API of the stage `local`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.buckets = local_stage.buckets()
        self.raw, self.processed, self.rejected = self.buckets
        self.s3 = boto3.client("s3")
        self.functions = boto3.client("lambda")

    def upload(self, body: bytes, key: str | None = None) -> Outcome:
        """Put an object into the raw bucket and wait for its outcome."""
        return upload(self.buckets, key or new_key(), body, seconds=WITHIN)

    def invoke(self, *objects: tuple[str, str]) -> dict[str, Any] | None:
        """Invoke the function with an event of objects (bucket, key); returns its error, if any."""
        return self.invoke_with(s3_event(*objects))

    def invoke_with(self, event: Any) -> dict[str, Any] | None:
        """Invoke the function with any event; returns its error, if any."""
        answer: dict[str, Any]
        answer, failed = self.answer_of(event)
        return answer if failed else None

    def answer_of(self, event: Any) -> tuple[Any, bool]:
        """Invoke the function with any event; returns its result, and whether that is an error."""
        answer = self.functions.invoke(FunctionName=FUNCTION, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    def post(self, document: bytes, *, signed: bool = True, **headers: str) -> Answer:
        """POST /process. Header names have underscores instead of hyphens."""
        named = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return post(self.url, document, named, region=REGION if signed else None)

    def make_versioned(self, *buckets: str) -> None:
        """Create versioned buckets without a notification."""
        for bucket in buckets:
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        time.sleep(0.5)  # until versioning works: objects that are put earlier may not be visible

    def get(self, bucket: str, key: str) -> bytes:
        """Read an object."""
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """List the keys below a prefix."""
        listing = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for item in listing.get("Contents", [])]

    def await_key(self, bucket: str, key: str, version: str | None = None) -> None:
        """Wait for an object; if `version` is given, for one made from this version of the raw object."""
        deadline = time.monotonic() + WITHIN
        while not read(self.s3, bucket, key, version):
            assert time.monotonic() < deadline, f"{key} did not appear"
            time.sleep(0.05)

    def logged(self, message: str, **fields: Any) -> dict[str, Any]:
        """Wait for a log event with this message and these fields; returns it."""
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            for event in structured(log_lines(FUNCTION)):
                if event["message"] == message and fields.items() <= event.items():
                    return event
            # MiniStack collects late log lines at the next invocation.
            self.invoke_with(TEST_EVENT)
        raise AssertionError(f"{message} was not logged")


def new_key() -> str:
    """Make up a key that no other test uses."""
    return f"scans/{uuid.uuid4()}.json"


def log_lines(function: str) -> list[str]:
    """Return everything that a function has logged so far."""
    pages = boto3.client("logs").get_paginator("filter_log_events").paginate
    return [
        event["message"] for page in pages(logGroupName=f"/aws/lambda/{function}") for event in page["events"]
    ]


def structured(lines: list[str]) -> list[dict[str, Any]]:
    """Return the application's log events among all lines."""
    return [json.loads(line) for line in lines if line.startswith('{"level"')]


@contextmanager
def without_permission(action: str, resource: str = "*") -> Iterator[None]:
    """Deny the function's role one permission for a while."""
    iam = boto3.client("iam")
    role = {"RoleName": FUNCTION, "PolicyName": FUNCTION}
    policy: Any = iam.get_role_policy(**role)["PolicyDocument"]
    deny = {"Effect": "Deny", "Action": action, "Resource": resource}
    denied = json.dumps({**policy, "Statement": [*policy["Statement"], deny]})
    iam.put_role_policy(**role, PolicyDocument=denied)
    try:
        yield
    finally:
        iam.put_role_policy(**role, PolicyDocument=json.dumps(policy))
