"""The cost of a cold start, as a ratio to the cost of the SDK, which every function pays."""

import os
import subprocess
import sys
from statistics import median

from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import REGION, ROOT
from tests.benchmarks.stand_in import Link, stand_in
from tests.events import s3_event

ROUNDS = 7
TIMED = "import time; started = time.process_time(); {}; print(time.process_time() - started)"
SDK, SDK_READY = "import boto3", "import boto3; boto3.client('s3')"
# The last two encode the name of a host.
NEEDED = {"app", "aws_lambda_powertools", "chalicelib", "msgspec", "typing_extensions"}
NEEDED |= {"stringprep", "unicodedata"}
OURS, OURS_READY = "import app", "import app; app.object_store.connect()"


def cold(code: str, **more: str) -> str:
    """Run code in a fresh process, with the environment of a function; returns what it prints."""
    environment = {**os.environ, **local_stage.environment(), "AWS_DEFAULT_REGION": REGION, **more}
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


def test_a_first_object_needs_few_modules_beyond_those_of_the_sdk_and_chalice() -> None:
    key = (local_stage.buckets().raw, "first.json")
    with stand_in({"/".join(["", *key]): b"[]"}, Link(0, 0)) as s3:
        handled = (
            f"{OURS_READY}; from tests.events import CONTEXT; app.data_processor({s3_event(key)}, CONTEXT)"
        )
        ours = packages(handled, **s3.environment)
        usual = packages(f"import chalice; {SDK_READY}", **s3.environment)

    assert ours - usual <= NEEDED


def packages(code: str, **environment: str) -> set[str]:
    """Return the packages that are loaded once the code has run. `tests` is there for the event only."""
    printed = cold(f"import sys; {code}; print(*sys.modules)", **environment)
    return {name.split(".")[0] for name in printed.splitlines()[-1].split()} - {"tests"}
