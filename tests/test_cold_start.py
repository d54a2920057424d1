"""The cost of a cold start, as a ratio to the cost of the SDK, which every function pays."""

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
    """Return the ratio of the CPU times of two pieces of code that run in turns.

    CPU time depends less on other processes than wall-clock time does.
    """
    cold(TIMED.format(ours))  # writes the bytecode cache
    pairs = [(cold(TIMED.format(ours)), cold(TIMED.format(sdk))) for _ in range(ROUNDS)]
    return median(float(one) for one, _ in pairs) / median(float(other) for _, other in pairs)


def test_the_application_imports_in_little_more_time_than_the_sdk_alone() -> None:
    assert ratio(OURS, SDK) <= 1.3


def test_a_cold_start_takes_little_more_time_than_that_of_the_usual_function() -> None:
    assert ratio(OURS_READY, SDK_READY) <= 1.2


def test_a_cold_start_imports_no_unneeded_module() -> None:
    loaded = cold(f"import sys; {OURS_READY}; print(*sys.modules)").split()

    assert not {"boto3", "s3transfer", "multiprocessing", "asyncio", "unittest"} & set(loaded)
