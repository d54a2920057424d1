"""One local cloud for all tests, with the application deployed in it as `make run` deploys it."""

import logging
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from chalicelib import log_events, telemetry, upload
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

# Hypothesis limits the time of an example by default. On a busy machine, sound code would fail.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def enough_time() -> Iterator[None]:
    """Give functions 15 minutes. Chalice's test client ignores the configuration and gives three seconds."""
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


class CurrentStdout:
    """A stream to the current sys.stdout, which pytest replaces for every test."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def captured(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Everything that the code under test prints, including its log."""
    telemetry.instrumented(lambda _event, _context: telemetry.emit(log_events.NoUploads()))({}, CONTEXT)
    for handler in logging.getLogger(telemetry.LOGGER_NAME).handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = CurrentStdout()
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
    """A store with a short read timeout and twice as many attempts."""
    return connect(proxy, read_timeout=0.5, attempts=2 * ATTEMPTS)


@pytest.fixture
def s3(proxy: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    """An S3 without faults until a test plans some. Parts are small, and retries have no backoff."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr(upload, "PART_SIZE", PART)
    proxy.policy = planned()
    for noted in (proxy.exchanges, proxy.faults, proxy.operations):
        noted.clear()
    return proxy


@pytest.fixture
def stored_key(deployment: Deployment) -> str:
    """A new key with an object under it, in a bucket without notifications."""
    key = new_key()
    deployment.s3.put_object(Bucket=deployment.processed, Key=key, Body=BODY)
    return key
