"""The S3 edge: read an object as a stream, publish one atomically."""

from enum import Enum
from functools import cache

from chalicelib.deadline import OutOfTimeError, check_time, within
from chalicelib.s3 import (
    ANYWAY,
    IF_ABSENT,
    S3,
    AbsentError,
    Client,
    Condition,
    DeletedError,
    Head,
    ObjectStoreError,
    OvertakenError,
    connected,
    head_of,
)
from chalicelib.source import Source
from chalicelib.upload import Upload

__all__ = [
    "ANYWAY",
    "IF_ABSENT",
    "Absence",
    "Condition",
    "Head",
    "ObjectStore",
    "ObjectStoreError",
    "OutOfTimeError",
    "OvertakenError",
    "Source",
    "Upload",
    "connect",
    "within",
]


class Absence(Enum):
    """Why there is nothing to open."""

    DELETED = "a delete marker says so"
    UNSEEN = "nothing is there, or it is too new to be seen"


class ObjectStore(S3):
    """S3, as far as the pipeline needs it. Every method raises ObjectStoreError."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        # Before every attempt, botocore's repetitions included, and after their pauses.
        client.meta.events.register_last("before-send.s3", check_time, unique_id="time is left")

    def head(self, bucket: str, key: str) -> Head | None:
        """Look at the current object without reading it; None where there is none."""
        try:
            return head_of(self.request("head_object", Bucket=bucket, Key=key))
        except AbsentError:
            return None

    def open(self, bucket: str, key: str) -> Source | Absence:
        """Open the current object for reading, or say why there is none.

        S3 marks the 404 of a deleted object. An object that it does not show yet has no such mark: while a
        bucket's versioning is new, which takes up to 15 minutes, a fresh object may be answered with 404
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html).
        """
        try:
            return Source(self, bucket, key)
        except DeletedError:
            return Absence.DELETED
        except AbsentError:
            return Absence.UNSEEN


@cache
def connect() -> ObjectStore:
    """Connect to S3, once a process."""
    return ObjectStore(connected())
