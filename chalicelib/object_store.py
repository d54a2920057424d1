"""The S3 edge: read an object as a stream, publish one atomically."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from enum import Enum
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Larger ones are no faster, and are cut into such pieces by the extraction.
READ_SIZE = 64 * 1024
# S3 takes 10,000 parts: 78 GiB of output, more than a function can write in its 15 minutes.
PART_SIZE = 8 * 1024 * 1024
# Times that a stream may break without one more byte.
RESUMES = 5

# Kept open, and so many requests at once: twice as many are hardly faster, for boto3 works on one core.
CONNECTIONS = 16
CONFIG = Config(
    connect_timeout=2,
    read_timeout=8,
    retries={"mode": "adaptive", "total_max_attempts": 5},
    max_pool_connections=CONNECTIONS,
)
# Milliseconds that must be left to begin another step: an attempt at a request, or a read (if some KiB a
# second come). It may use up its timeouts and botocore's longest pause; then there is an upload to abort.
MARGIN = 50_000
# Milliseconds that must be left to begin to abort: the timeouts once more.
LAST_MARGIN = 18_000

# While a body comes, botocore leaves some of urllib3's errors as they are.
CONNECTION_LOST = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, HTTPError)
# What S3 answers to a conditional write that lost: the condition fails, or another write is under way.
# NoSuchUpload too: if the answer to a completion is lost, its repetition finds the upload gone.
OVERTAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload", "412", "409"}
# HEAD has no body and so no code. NoSuchBucket is not here: that is a fault, not an absent object.
ABSENT = {"NoSuchKey", "404"}

type Condition = Mapping[str, str]
ANYWAY: Condition = {}
IF_ABSENT: Condition = {"IfNoneMatch": "*"}


class ObjectStoreError(Exception):
    """S3 refused or failed: the operation and S3's code. Never S3's message, which can quote the key."""


class AbsentError(ObjectStoreError):
    """There is no such object."""


class DeletedError(AbsentError):
    """The object was deleted: a delete marker stands in its place."""


class OvertakenError(ObjectStoreError):
    """Somebody else wrote the object in between: look again at what is current."""


class OutOfTimeError(ObjectStoreError):
    """Too little time is left to begin another step."""


class Absence(Enum):
    """Why there is nothing to open."""

    DELETED = "a delete marker says so"
    UNSEEN = "nothing is there, or it is too new to be seen"


class Head(NamedTuple):
    """An object as it stands: what it is (ETag, version) and the metadata that it was written with."""

    etag: str
    version: str
    metadata: Mapping[str, str]

    @property
    def unchanged(self) -> Condition:
        """Let a write succeed only while this object still stands."""
        return {"IfMatch": self.etag}


class ObjectStore:
    """S3, as far as the pipeline needs it. Every method raises ObjectStoreError."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client
        # Before every attempt, botocore's repetitions included, and after their pauses.
        client.meta.events.register_last("before-send.s3", _check_time, unique_id="time is left")

    def head(self, bucket: str, key: str) -> Head | None:
        """Look at the current object without reading it; None where there is none."""
        try:
            return _head(self.request("head_object", Bucket=bucket, Key=key))
        except AbsentError:
            return None

    def open(self, bucket: str, key: str) -> "Source | Absence":
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

    def request(self, operation: str, **parameters: object) -> Any:
        """Call one operation of S3, its errors made safe for the log."""
        try:
            return getattr(self._client, operation)(**parameters)
        except ClientError as error:
            raise _safe(operation, error) from None
        except (BotoCoreError, ResponseParserError, HTTPError) as error:
            raise ObjectStoreError(f"{operation}: {type(error).__name__}") from None


class Source:
    """The current object of a key: its head, and its bytes as a stream that outlives broken connections."""

    def __init__(self, store: ObjectStore, bucket: str, key: str) -> None:
        self._store = store
        self._address = {"Bucket": bucket, "Key": key}
        answer = store.request("get_object", **self._address)
        self.head = _head(answer)
        self.position = 0  # bytes read so far
        self._body = answer["Body"]
        self._size = answer["ContentLength"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._body.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes, once; OvertakenError if the object is replaced while a connection is mended."""
        lost = 0
        while True:
            before = self.position
            yield from self._chunks()
            if self.position == self._size:
                return
            lost = 1 if self.position > before else lost + 1
            self._resume(lost)

    def _chunks(self) -> Iterator[bytes]:
        """Yield what comes until the connection ends, as it should or too early."""
        try:
            for chunk in self._body.iter_chunks(READ_SIZE):
                self.position += len(chunk)
                yield chunk
                _check_time()
        except CONNECTION_LOST:
            return
        except BotoCoreError as error:
            raise ObjectStoreError(f"get_object: {type(error).__name__}") from None

    def _resume(self, lost: int) -> None:
        if lost > RESUMES:
            raise ObjectStoreError(f"get_object: connection lost {lost} times in a row")
        self._body.close()
        rest = {"Range": f"bytes={self.position}-", "IfMatch": self.head.etag}
        try:
            answer = self._store.request("get_object", **self._address, **rest)
        except AbsentError:
            raise OvertakenError("get_object: deleted while it was read") from None
        self._body = answer["Body"]
        expected = (f"bytes {self.position}-{self._size - 1}/{self._size}", self._size - self.position)
        if (answer.get("ContentRange"), answer["ContentLength"]) != expected:
            raise ObjectStoreError("get_object: not the range that was asked for")


class Upload:
    """An object that becomes visible only by `complete`, whole; leaving the context without it aborts.

    What fits in one part is one PutObject; anything larger is a multipart upload of parts of PART_SIZE.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - an S3 write has that many sides
        self,
        store: ObjectStore,
        bucket: str,
        key: str,
        condition: Condition,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> None:
        self._store = store
        self._address = {"Bucket": bucket, "Key": key}
        self._condition = condition
        self._about = {"ContentType": content_type, "Metadata": metadata}
        self._buffer = bytearray()
        self._multipart: dict[str, str] = {}
        self._parts: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._multipart:
            # Whatever led here matters more; what cannot be aborted now, the bucket's lifecycle rule sweeps.
            remaining, _ = _TIME.get()
            with suppress(ObjectStoreError), within(remaining, LAST_MARGIN):
                self._store.request("abort_multipart_upload", **self._multipart)

    def write(self, data: bytes) -> None:
        """Add bytes to the end of the object."""
        self._buffer += data
        if len(self._buffer) >= PART_SIZE:
            self._send_part()

    def complete(self) -> None:
        """Publish what was written, in one step; OvertakenError if the condition does not hold."""
        try:
            self._complete()
        except AbsentError as error:  # S3's answer to If-Match where nothing stands any more
            raise OvertakenError(str(error)) from None

    def _complete(self) -> None:
        if self._multipart:
            self._complete_multipart()
        else:
            body = bytes(self._buffer)
            self._store.request("put_object", **self._address, **self._about, **self._condition, Body=body)

    def _send_part(self) -> None:
        if not self._multipart:
            upload = self._store.request("create_multipart_upload", **self._address, **self._about)
            self._multipart = {**self._address, "UploadId": upload["UploadId"]}
        number = len(self._parts) + 1
        # As it is: of bytes, http.client would make another copy to put the headers before them.
        part = self._store.request("upload_part", **self._multipart, PartNumber=number, Body=self._buffer)
        # The ETag alone: S3 has checked the part's checksum, which botocore adds by itself, and refuses a
        # completion that names one unless the upload was created for it.
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._buffer.clear()

    def _complete_multipart(self) -> None:
        if self._buffer:
            self._send_part()
        parts = {"Parts": self._parts}
        self._store.request(
            "complete_multipart_upload", **self._multipart, **self._condition, MultipartUpload=parts
        )
        self._multipart = {}


@cache
def connect() -> ObjectStore:
    """Connect to S3, once a process, with timeouts and retries that are set rather than defaulted."""
    return ObjectStore(boto3.client("s3", config=CONFIG))


@contextmanager
def within(remaining: Callable[[], int], margin: int = MARGIN) -> Iterator[None]:
    """Begin no step while less than `margin` of the `remaining` milliseconds is left: OutOfTimeError."""
    token = _TIME.set((remaining, margin))
    try:
        yield
    finally:
        _TIME.reset(token)


# A context's own: what botocore calls back gets no argument of ours.
_TIME: ContextVar[tuple[Callable[[], int], int]] = ContextVar("time", default=(lambda: sys.maxsize, 0))


def _check_time(**_: object) -> None:
    remaining, margin = _TIME.get()
    if remaining() < margin:
        raise OutOfTimeError("too little time is left")


def _head(answer: Mapping[str, Any]) -> Head:
    # An object written before its bucket was versioned has the version "null", as have all that follow
    # it while versioning is suspended; the ETag, a digest of the content, tells those apart.
    version = answer.get("VersionId", "null")
    etag = answer["ETag"]
    return Head(etag, etag.strip('"') if version == "null" else version, answer["Metadata"])


def _safe(operation: str, error: ClientError) -> ObjectStoreError:
    code = error.response["Error"]["Code"]
    return _kind(code, error.response)(f"{operation}: {code}")


def _kind(code: str, response: Mapping[str, Any]) -> type[ObjectStoreError]:
    if code in ABSENT:
        deleted = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-delete-marker")
        return DeletedError if deleted == "true" else AbsentError
    return OvertakenError if code in OVERTAKEN else ObjectStoreError
