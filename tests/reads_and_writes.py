"""Reads and writes of whole objects through the object store, for tests of faults."""

import boto3
from botocore.config import Config

from chalicelib.object_store import UNCONDITIONAL, Condition, ObjectStore, Source, Upload
from tests.faults import REFUSALS, Lost, Unsent
from tests.faulty_s3 import Ending, Fault, FaultyS3

ATTEMPTS = 3
BODY = bytes(range(251)) * 1200
PART = 5 * 1024 * 1024  # bytes; S3's minimum for all parts but the last
PIECE = 64 * 1024  # bytes in one write
PASSING: list[Fault] = [fault for code, fault in REFUSALS.items() if code != "ExpiredToken"]
CONNECTIONS: list[Fault] = [Unsent(), Unsent(Ending.CLOSED), Lost(), Lost(Ending.CLOSED)]


def named(fault: Fault) -> str:
    return f"{fault.kind} {vars(fault).get('after', '')}".strip()


def connect(proxy: FaultyS3, read_timeout: float, attempts: int) -> ObjectStore:
    """Make a store whose requests go through the proxy."""
    config = Config(read_timeout=read_timeout, retries={"mode": "standard", "total_max_attempts": attempts})
    return ObjectStore(boto3.client("s3", endpoint_url=proxy.url, config=config))


def read(store: ObjectStore, bucket: str, key: str, into: bytearray | None = None) -> bytes:
    received = bytearray() if into is None else into
    source = store.open(bucket, key)
    assert isinstance(source, Source)
    with source:
        for chunk in source:
            received += chunk
    return bytes(received)


def publish(
    store: ObjectStore, bucket: str, key: str, size: int, condition: Condition = UNCONDITIONAL
) -> None:
    with Upload(store, bucket, key, condition, "application/json", {}) as upload:
        for start in range(0, size, PIECE):
            upload.write(b"x" * min(PIECE, size - start))
        upload.complete()
