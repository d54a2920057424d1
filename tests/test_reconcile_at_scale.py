"""`reconcile` of a great many objects: what it costs, by the command as it is run."""

import os
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from infra.ops.local.cloud import ROOT, client_environment
from tests.listing_stub import FIRST, listing_stub

MB = 1024  # KB, in which Linux counts

BEFORE_ALL, AFTER_ALL = FIRST - timedelta(days=1), FIRST + timedelta(days=9)


@pytest.mark.parametrize(
    ("objects", "changed", "looks"),
    [(100_000, BEFORE_ALL, 0), (10_000, AFTER_ALL, 50)],
    ids=["published by the function as it is", "the function was changed since"],
)
def test_where_all_is_current_it_takes_two_requests_for_a_thousand_objects_and_little_memory(
    objects: int, changed: datetime, looks: int
) -> None:
    with listing_stub(objects, changed) as stub:
        environment = client_environment(stub.url) | {"HOME": os.devnull, "PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "infra.ops", "reconcile", "--stage", "local", "--combined", "-"]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout
            lines = sum(line.startswith(b"= scans/") for line in process.stdout)
            _, status, used = os.wait4(process.pid, 0)

    assert (lines, status) == (objects, 0)
    assert stub.asked["list"] == objects // 500
    assert stub.asked["head"] <= looks
    assert used.ru_maxrss < 100 * MB
