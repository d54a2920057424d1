"""The deadline: timeouts and retries fit into the time of a function, and no step begins too late."""

import itertools
import json
from typing import Any

import pytest

from chalicelib.deadline import LAST_MARGIN, MARGIN
from chalicelib.object_store import ObjectStore, OutOfTimeError, time_limit
from chalicelib.s3 import CONFIG as SDK
from chalicelib.s3 import READ_SIZE, new_client
from chalicelib.source import MAX_RESUMES
from infra.ops.local.cloud import ROOT
from tests.deployment import Deployment, new_key
from tests.faults import REFUSALS, Cut
from tests.faulty_s3 import Ending, FaultyS3
from tests.reads_and_writes import BODY, PART, publish, read

# S3's host name has up to eight addresses, which are tried in turn. The connect timeout also applies to the
# TLS handshake and to sending on a new connection. botocore waits one second for "100 Continue".
CONFIG: Any = SDK
CONNECT, READ = CONFIG.connect_timeout, CONFIG.read_timeout
ATTEMPT = max(8 * CONNECT, 3 * CONNECT + 1 + READ, 2 * READ + 1)
RETRIES = CONFIG.retries["total_max_attempts"] - 1
PAUSES = [min(2**retry, 20) for retry in range(RETRIES)]
RETRY_AFTER = 5  # seconds of further backoff that S3 can ask for
THROTTLED = 2  # seconds that the adaptive mode delays a request


def test_the_margin_suffices_for_a_step_and_for_the_cleanup() -> None:
    assert ATTEMPT * 1000 < LAST_MARGIN
    assert (ATTEMPT + max(PAUSES) + RETRY_AFTER + THROTTLED) * 1000 + LAST_MARGIN <= MARGIN


def test_a_stream_that_resumes_as_often_as_allowed_fits_into_the_time_of_the_function() -> None:
    request = (RETRIES + 1) * (ATTEMPT + THROTTLED) + sum(PAUSES)
    stages = json.loads((ROOT / ".chalice" / "config.json").read_text())["stages"]

    for stage in stages.values():
        timeout = stage["lambda_functions"]["data-processor"]["lambda_timeout"]
        assert (MAX_RESUMES + 1) * (request + READ) <= timeout - MARGIN / 1000


def test_no_request_begins_if_too_little_time_remains(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str
) -> None:
    with time_limit(lambda: MARGIN - 1), pytest.raises(OutOfTimeError):
        faulty_store.head(deployment.processed, stored_key)

    assert not s3.exchanges


def test_no_retry_begins_if_too_little_time_remains(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str
) -> None:
    s3.policy = lambda _: REFUSALS["SlowDown"]
    left = iter([MARGIN, MARGIN - 1])

    with time_limit(lambda: next(left)), pytest.raises(OutOfTimeError):
        faulty_store.open(deployment.processed, stored_key)

    assert s3.operations["get_object"] == 1


def test_no_stream_resumes_if_too_little_time_remains(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str
) -> None:
    s3.policy = lambda _: Cut(0, Ending.CLOSED)
    left = iter([MARGIN, MARGIN - 1])

    with time_limit(lambda: next(left)), pytest.raises(OutOfTimeError):
        read(faulty_store, deployment.processed, stored_key)

    assert s3.operations["get_object"] == 1


def test_no_read_begins_if_too_little_time_remains(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, stored_key: str
) -> None:
    received = bytearray()
    left = iter([MARGIN, MARGIN, MARGIN - 1])

    with time_limit(lambda: next(left)), pytest.raises(OutOfTimeError):
        read(faulty_store, deployment.processed, stored_key, received)

    assert received == BODY[: 2 * READ_SIZE]
    assert s3.operations["get_object"] == 1


@pytest.mark.parametrize(("left", "aborts"), [(LAST_MARGIN, 1), (LAST_MARGIN - 1, 0)])
def test_an_upload_that_runs_out_of_time_is_aborted_if_enough_time_remains_for_that(
    s3: FaultyS3, faulty_store: ObjectStore, deployment: Deployment, left: int, aborts: int
) -> None:
    # Enough to create the upload and to send a part.
    clock = itertools.chain([MARGIN] * 2, itertools.repeat(left))

    with time_limit(lambda: next(clock)), pytest.raises(OutOfTimeError):
        publish(faulty_store, deployment.processed, key := new_key(), PART)

    assert s3.operations["upload_part"] == 1
    assert s3.operations["abort_multipart_upload"] == aborts
    assert deployment.keys(deployment.processed, key) == []


@pytest.mark.usefixtures("deployment")
def test_the_client_of_the_functions_has_the_timeouts_that_the_margins_assume() -> None:
    config: Any = new_client().meta.config

    assert (config.connect_timeout, config.read_timeout) == (CONNECT, READ)
    assert config.retries == CONFIG.retries
