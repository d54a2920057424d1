"""One local cloud for all tests, with the application deployed in it as `make run` deploys it."""

import logging
import os
import sys
from collections.abc import Iterator

import pytest

from chalicelib import telemetry, upload
from chalicelib.object_store import ObjectStore
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import local_cloud
from tests.deployment import Deployment, new_key
from tests.events import CONTEXT
from tests.faults import planned
from tests.faulty_s3 import FaultyS3, faulty_s3
from tests.reads_and_writes import ATTEMPTS, BODY, PART, connect

# app.py reads its settings when it is imported, as Lambda does at cold start.
os.environ |= local_stage.environment()


@pytest.fixture(scope="session", autouse=True)
def enough_time() -> Iterator[None]:
    """Chalice's test client gives every function three seconds, whatever its configuration says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chalice.local.LambdaContext.get_remaining_time_in_millis", lambda _: 900_000)
        yield


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    if api := os.environ.get("LOCAL_API"):  # `make mutants` runs one local cloud for all its sessions
        yield Deployment(api)
        return
    with local_cloud() as folder:
        local_stage.make_buckets()
        yield Deployment(local_stage.deploy(folder))


class Stdout:
    """Whatever is the standard output at the moment: pytest puts another one in its place for every test."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """All that the code under test writes, its log included."""
    telemetry.traced(lambda _event, _context: telemetry.emit(telemetry.NoUploads()))({}, CONTEXT)
    for handler in logging.getLogger(telemetry.LOG).handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = Stdout()
    capsys.readouterr()
    return capsys


@pytest.fixture(scope="session")
def proxy(deployment: Deployment) -> Iterator[FaultyS3]:
    with faulty_s3(planned(), deployment.s3.meta.endpoint_url) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def faulty_store(proxy: FaultyS3) -> ObjectStore:
    return connect(proxy, read_timeout=30, attempts=ATTEMPTS)


@pytest.fixture(scope="session")
def impatient_store(proxy: FaultyS3) -> ObjectStore:
    """One that soon gives up on a stalled connection, and, in return, tries again more often."""
    return connect(proxy, read_timeout=0.5, attempts=2 * ATTEMPTS)


@pytest.fixture
def s3(proxy: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    """An S3 without faults until a test plans them; parts are small, and retries come without a pause."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr(upload, "PART_SIZE", PART)
    proxy.policy = planned()
    for noted in (proxy.exchanges, proxy.faults, proxy.operations):
        noted.clear()
    return proxy


@pytest.fixture
def stored_key(deployment: Deployment) -> str:
    """Make up a key with an object under it, in a bucket that no function watches."""
    key = new_key()
    deployment.s3.put_object(Bucket=deployment.processed, Key=key, Body=BODY)
    return key
