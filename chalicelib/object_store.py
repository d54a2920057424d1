"""The object store that the pipeline uses: look up an object, and open it for reading."""

from enum import Enum
from functools import cache

from chalicelib.deadline import OutOfTimeError, check_time, time_limit
from chalicelib.s3 import (
    IF_ABSENT,
    S3,
    UNCONDITIONAL,
    AbsentError,
    Client,
    Condition,
    DeletedError,
    Head,
    ObjectStoreError,
    OvertakenError,
    new_client,
    parse_head,
)
from chalicelib.source import Source
from chalicelib.upload import Upload

__all__ = [
    "IF_ABSENT",
    "UNCONDITIONAL",
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
    "time_limit",
]


class Absence(Enum):
    """Why there is no object to open."""

    DELETED = "the current version is a delete marker"
    UNSEEN = "the object does not exist, or is not visible yet"


class ObjectStore(S3):
    """S3 as the pipeline uses it. Every method raises ObjectStoreError."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        # Runs before every attempt, botocore's retries included, after their backoff.
        client.meta.events.register_last("before-send.s3", check_time, unique_id="check time")

    def head(self, bucket: str, key: str) -> Head | None:
        """Look up the current object without reading it; None if there is none."""
        try:
            return parse_head(self.request("head_object", Bucket=bucket, Key=key))
        except AbsentError:
            return None

    def open(self, bucket: str, key: str) -> Source | Absence:
        """Open the current object for reading, or return why there is none.

        The 404 of a deleted object has a delete marker header. The 404 of an object that is not visible yet
        has none. S3 may answer so for up to 15 minutes after versioning was enabled on the bucket
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
    """Return the object store, one per process."""
    return ObjectStore(new_client())
