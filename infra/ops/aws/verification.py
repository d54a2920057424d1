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

# Seconds in which the function mostly ends what it has begun: what it still publishes of a removed object is
# removed after it.
ENDS = 1
LOOKS = 2  # in a row that find nothing


class Line(NamedTuple):
    """What was tried, what was seen, and whether that is as it should be."""

    check: str
    seen: str
    passed: bool


def verify(target: Target, step: Step) -> list[Line]:
    """Try a stage; whatever fails, the rest is tried, too."""
    s3: Any = boto3.client("s3", region_name=target.region)
    _remove(s3, target.buckets)  # what somebody has left who was killed
    checks = Uploads(target, str(uuid.uuid4())).checks() | Posts(target).checks()
    try:
        lines = [_try(name, check, step) for name, check in checks.items()]
    finally:
        clear = partial(clear_away, s3, target.buckets, target.patience.upload)
        last = _try("nothing of that is left", clear, step)
    return [*lines, last]


def clear_away(s3: Any, buckets: Buckets, seconds: float) -> str:
    """Remove what is below the prefix until nothing more comes; UnexpectedError after some seconds."""
    deadline = time.monotonic() + seconds
    removed = looks = 0
    while looks < LOOKS:
        found = _remove(s3, buckets)
        if found and removed and time.monotonic() > deadline:
            raise UnexpectedError(f"{removed} versions removed, and {found} more came")
        removed, looks = removed + found, 0 if found else looks + 1
        time.sleep(ENDS)
    return f"{removed} versions removed"


def _try(name: str, check: Callable[[], str], step: Step) -> Line:
    step(f"Trying: {name}")
    try:
        return Line(name, check(), passed=True)
    except UnexpectedError as error:
        return Line(name, str(error), passed=False)
    except Exception as error:  # noqa: BLE001 - any: what a stage does wrong can be of every kind
        return Line(name, f"{type(error).__name__}: {error}", passed=False)


def _remove(s3: Any, buckets: Buckets) -> int:
    """Remove what is below the prefix, for good; raw objects first: nothing is made of them again."""
    found = 0
    for bucket in buckets:
        for one in versions(s3, bucket, PREFIX):
            s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            found += 1
    return found
