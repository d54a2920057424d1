"""`reconcile` of very many objects: the requests and the memory that the command takes."""

import os
import re
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from infra.ops.local.cloud import ROOT, client_environment
from tests.listing_stub import FIRST, listing_stub

MB = 1024  # kB, the unit of /proc
# Runs the command and prints its peak memory at the end. The parent cannot measure that: after a fork, Linux
# counts the parent's own peak, too.
MEASURED = """
import atexit, pathlib, runpy, sys
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
sys.argv[0] = "infra.ops"
runpy.run_module("infra.ops", run_name="__main__")
"""

BEFORE_ALL, AFTER_ALL = FIRST - timedelta(days=1), FIRST + timedelta(days=9)


@pytest.mark.parametrize(
    ("objects", "changed", "looks"),
    [(100_000, BEFORE_ALL, 0), (10_000, AFTER_ALL, 50)],
    ids=["published after the last deployment", "published before it"],
)
def test_if_all_is_current_it_takes_two_requests_for_a_thousand_objects_and_little_memory(
    objects: int, changed: datetime, looks: int
) -> None:
    with listing_stub(objects, changed) as stub:
        environment = client_environment(stub.url) | {"HOME": os.devnull, "PATH": os.environ["PATH"]}
        command = [sys.executable, "-c", MEASURED, "reconcile", "--stage", "local", "--combined", "-"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.count("= scans/") == objects
    assert stub.asked["list"] == objects // 500
    assert stub.asked["head"] <= looks
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", done.stderr, re.MULTILINE)
    assert int(peak) < 100 * MB
