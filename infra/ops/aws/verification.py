"""What only a deployed stage can show: every promise tried on it, and nothing left of that."""

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.target import PREFIX, Target, UnexpectedError
from infra.ops.aws.trying_posts import Posts
from infra.ops.aws.trying_uploads import Uploads
from infra.ops.aws.uploads import Buckets, versions
from infra.ops.screen.progress import Step

# Seconds in which the function ends what it has begun: it looks at a raw object once more when it has
# published it, and what it still publishes of a removed one is removed after it.
ENDS = 1


class Line(NamedTuple):
    """What was tried, what was seen, and whether that is as it should be."""

    check: str
    seen: str
    passed: bool


def verify(target: Target, step: Step) -> list[Line]:
    """Try a stage; whatever fails, the rest is tried, too."""
    s3: Any = boto3.client("s3", region_name=target.region)
    remove = partial(_remove, s3, target.buckets)
    remove()  # what somebody has left who was killed
    checks = Uploads(target, str(uuid.uuid4())).checks() | Posts(target).checks()
    try:
        lines = [_try(name, check, step) for name, check in checks.items()]
    finally:
        last = _try("nothing of that is left", remove, step)
    return [*lines, last]


def _try(name: str, check: Callable[[], str], step: Step) -> Line:
    step(f"Trying: {name}")
    try:
        return Line(name, check(), passed=True)
    except UnexpectedError as error:
        return Line(name, str(error), passed=False)
    except Exception as error:  # noqa: BLE001 - any: what a stage does wrong can be of every kind
        return Line(name, f"{type(error).__name__}: {error}", passed=False)


def _remove(s3: Any, buckets: Buckets) -> str:
    """Remove what is below the prefix, for good; raw objects first: nothing is made of them again."""
    removed = [_remove_from(s3, bucket) for bucket in buckets]
    return f"{sum(removed)} versions removed"


def _remove_from(s3: Any, bucket: str) -> int:
    found = versions(s3, bucket, PREFIX)
    if found:
        time.sleep(ENDS)
    for one in found:
        s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
    return len(found)
