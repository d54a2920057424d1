"""Checks of a deployed stage: each promise is tried with test objects, which are removed afterwards."""

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.target import PREFIX, Target, UnexpectedError
from infra.ops.aws.uploads import Buckets
from infra.ops.aws.verify_posts import PostChecks
from infra.ops.aws.verify_uploads import UploadChecks
from infra.ops.aws.versions import versions
from infra.ops.screen.progress import Step

# Between two sweeps. An invocation that is still running may publish a test object after a sweep; the
# next sweep removes it.
POLL_SECONDS = 1
EMPTY_SWEEPS = 2  # in a row, before the buckets count as clean


class Line(NamedTuple):
    """A check, what was observed, and whether it passed."""

    check: str
    seen: str
    passed: bool


def verify(target: Target, step: Step) -> list[Line]:
    """Run all checks, whether or not some fail."""
    s3: Any = boto3.client("s3", region_name=target.region)
    _remove(s3, target.buckets)  # left by a run that was killed
    checks = UploadChecks(target, str(uuid.uuid4())).checks() | PostChecks(target).checks()
    try:
        lines = [_run(name, check, step) for name, check in checks.items()]
    finally:
        clear = partial(clear_away, s3, target.buckets, target.patience.upload)
        last = _run("all test objects are removed", clear, step)
    return [*lines, last]


def clear_away(s3: Any, buckets: Buckets, seconds: float) -> str:
    """Remove test objects until no more appear; UnexpectedError if they still do after `seconds`."""
    deadline = time.monotonic() + seconds
    removed = empty = 0
    while empty < EMPTY_SWEEPS:
        found = _remove(s3, buckets)
        if found and removed and time.monotonic() > deadline:
            raise UnexpectedError(f"{removed} versions removed, and {found} more came")
        removed, empty = removed + found, 0 if found else empty + 1
        time.sleep(POLL_SECONDS)
    return f"{removed} versions removed"


def _run(name: str, check: Callable[[], str], step: Step) -> Line:
    step(f"Trying: {name}")
    try:
        return Line(name, check(), passed=True)
    except UnexpectedError as error:
        return Line(name, str(error), passed=False)
    except Exception as error:  # noqa: BLE001 - a faulty stage may cause any error
        return Line(name, f"{type(error).__name__}: {error}", passed=False)


def _remove(s3: Any, buckets: Buckets) -> int:
    """Remove all versions below the prefix and return their number.

    Raw objects go first, and of each key the current version last. Otherwise S3 would send an event for a
    version that becomes current, and the pipeline would publish it.
    """
    found = 0
    for bucket in buckets:
        for one in sorted(versions(s3, bucket, PREFIX), key=lambda one: one.is_latest):
            s3.delete_object(Bucket=bucket, Key=one.key, VersionId=one.id)
            found += 1
    return found
