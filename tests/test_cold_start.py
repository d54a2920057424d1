"""What a cold start costs, in ratios of one run: everybody pays for the SDK, so that is the measure."""

import os
import subprocess
import sys
from statistics import median

from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import REGION, ROOT

ROUNDS = 7
TIMED = "import time; started = time.process_time(); {}; print(time.process_time() - started)"
SDK, SDK_READY = "import boto3", "import boto3; boto3.client('s3')"
OURS, OURS_READY = "import app", "import app; app.object_store.connect()"


def cold(code: str) -> str:
    """Run code in a fresh process, with the environment of a function; returns what it prints."""
    environment = {**os.environ, **local_stage.environment(), "AWS_DEFAULT_REGION": REGION}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout


def ratio(ours: str, sdk: str) -> float:
    """Compare the CPU time of two pieces of code that take turns, which a busy machine leaves alone."""
    cold(TIMED.format(ours))  # bytecode is there from now on
    pairs = [(cold(TIMED.format(ours)), cold(TIMED.format(sdk))) for _ in range(ROUNDS)]
    return median(float(one) for one, _ in pairs) / median(float(other) for _, other in pairs)


def test_the_application_takes_little_more_to_import_than_the_sdk_alone() -> None:
    assert ratio(OURS, SDK) <= 1.3


def test_to_be_ready_for_the_first_object_takes_little_more_than_the_usual_function_takes() -> None:
    assert ratio(OURS_READY, SDK_READY) <= 1.2


def test_nothing_is_imported_that_no_object_needs() -> None:
    loaded = cold(f"import sys; {OURS_READY}; print(*sys.modules)").split()

    assert not {"boto3", "s3transfer", "multiprocessing", "asyncio", "unittest"} & set(loaded)
