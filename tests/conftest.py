"""One local cloud for all tests, with the application deployed in it as `make run` deploys it."""

import logging
import os
import sys
from collections.abc import Iterator

import pytest

from chalicelib import telemetry
from infra.ops import local_stage
from infra.ops.cloud import local_cloud
from tests.deployment import Deployment
from tests.events import CONTEXT

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
