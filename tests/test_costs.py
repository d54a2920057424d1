"""The costs in infra/README.md: computed by tests/costs.py, from what the code really does."""

import re
from itertools import islice

import pytest

from chalicelib import pipeline
from chalicelib.events import Arrival
from chalicelib.invocations import handle
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings
from infra.ops.local.cloud import ROOT
from samples.generate import document
from tests import costs
from tests.costs import KB, MB
from tests.deployment import FUNCTION, Deployment, log_lines, new_key
from tests.faults import planned
from tests.faulty_s3 import FaultyS3

PAGE = (ROOT / "infra" / "README.md").read_text()
APPLICATION = (ROOT / "chalicelib" / "README.md").read_text()
SETTINGS = Settings("costs-raw", "costs-processed", "costs-rejected")


def scans(size: int) -> bytes:
    """Make a document of about `size` bytes."""
    record = b",".join(part.strip(b",\n") for part in islice(document("flat", 99, 1, 0), 1, 51))
    return b"[" + b",".join([record] * (size // len(record))) + b"]"


def test_the_page_shows_the_table_that_the_program_prints() -> None:
    assert f"\n\n{costs.table()}\n" in PAGE
    assert f"for us-east-1, as of {costs.AS_OF} and without the free tier." in PAGE


def test_the_page_shows_the_computed_seconds_of_a_function() -> None:
    seconds = [f"{costs.seconds(size):.2g} s" for size in (10 * KB, MB, 100 * MB)]

    assert f"Lambda works on an object for {seconds[0]}, {seconds[1]} and {seconds[2]}." in PAGE


def test_the_speed_that_costs_assume_is_the_measured_one() -> None:
    (measured,) = re.findall(r"^\| ours +\|[^|]+\| (\d+)", APPLICATION, re.MULTILINE)

    assert int(measured) * MB == costs.EXTRACTION
    sentence = f"A function of {costs.MEMORY:,} MB has {costs.VCPU:.2f} of a vCPU"
    assert sentence in " ".join(APPLICATION.split())


@pytest.fixture(scope="module", autouse=True)
def buckets(deployment: Deployment) -> None:
    deployment.make_versioned(SETTINGS.raw_bucket, SETTINGS.processed_bucket, SETTINGS.rejected_bucket)


@pytest.mark.parametrize("size", [10 * KB, 30 * MB], ids=["one request", "in parts"])
def test_a_new_object_takes_as_many_requests_as_are_counted(
    deployment: Deployment,
    proxy: FaultyS3,
    faulty_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    monkeypatch.setattr(pipeline.PREDICTION, "new", True)
    monkeypatch.setattr(pipeline, "RECHECK_AFTER", 60)  # this machine may be slower than Lambda
    key, body = new_key(), scans(size)
    deployment.s3.put_object(Bucket=SETTINGS.raw_bucket, Key=key, Body=body)
    proxy.policy = planned()
    proxy.operations.clear()

    handle([Arrival(SETTINGS.raw_bucket, key, 1, len(body))], faulty_store, SETTINGS, lambda: 900_000)

    reads = sum(proxy.operations[name] for name in ("head_object", "get_object"))
    assert (reads, proxy.operations.total() - reads) == (costs.reads(len(body)), costs.writes(size))
    published = deployment.get(SETTINGS.processed_bucket, key)
    assert len(published) / len(body) == pytest.approx(costs.PUBLISHED, abs=0.01)


def test_an_object_takes_as_many_bytes_of_log_as_are_counted(deployment: Deployment) -> None:
    for _ in range(2):  # the first may be a cold start
        version = deployment.upload(scans(KB)).version
    deployment.logged("object_published", version=version)

    invocations = "".join(log_lines(FUNCTION)).split("START ")[1:]
    *_, warm = [one for one in invocations if "object_published" in one and "function_started" not in one]

    assert len(f"START {warm}") == pytest.approx(costs.LOGGED, rel=0.05)
