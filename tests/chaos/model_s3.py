"""A model of S3, as far as the pipeline uses it, in which everything is an immutable value.

The next request of a handler depends only on the responses to its earlier requests. So the tuple of these
responses is the state of a handler. To find its next request, the real `invocations.handle` runs from its
start with these responses, until it needs another one.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, NamedTuple, cast
from unittest.mock import Mock, patch

from botocore.exceptions import ClientError, IncompleteReadError

from chalicelib import pipeline
from chalicelib.events import Arrival
from chalicelib.invocations import UploadsFailedError, handle
from chalicelib.object_store import ObjectStore
from chalicelib.settings import Settings

SETTINGS = Settings("raw", "processed", "rejected")
KEY = "key.json"
LONG_AGO = 1  # seconds since 1970
FIFTEEN_MINUTES = 15 * 60 * 1000

type Pairs = tuple[tuple[str, str], ...]


class Stored(NamedTuple):
    """An object. Only raw objects have versions, because the pipeline uses no other versions."""

    body: bytes
    etag: str
    version: str = "null"
    metadata: Pairs = ()

    @property
    def made_from(self) -> int:
        return int(dict(self.metadata)["source-version"])


class Request(NamedTuple):
    """A request of a handler. The parts of an upload are no requests here: nobody else can see them."""

    operation: str
    bucket: str
    key: str
    conditions: Pairs  # IfMatch, IfNoneMatch, Range
    writes: Stored | None = None


class Refused(NamedTuple):
    """An error: S3's code, and whether the current version is a delete marker."""

    code: str
    deleted: bool = False


class Read(NamedTuple):
    """The response with an object: its bytes from `start`. If `breaks`, the connection is lost."""

    stored: Stored
    start: int = 0
    breaks: bool = False


class Written(NamedTuple):
    """The response to a successful write. `late`: RECHECK_AFTER passed since the object was read."""

    late: bool = False


type Answer = Read | Refused | Written

type Answers = tuple[Answer, ...]


class Window(Enum):
    """What happened between a handler's read of the raw object and its write of the processed one."""

    NOTHING = "nothing relevant"
    CHANGED = "the raw object changed"
    ERASED = "and then the processed object was deleted; RECHECK_AFTER passed, as the pipeline assumes"


class Handler(NamedTuple):
    """The state of a handler.

    `young`: its event is about a recent upload. `predicts_new`: it skips the lookup of the processed object;
    None if both are possible. `answers`: the responses so far. `window`: what happened since its read.
    """

    young: bool
    predicts_new: bool | None = None
    answers: Answers = ()
    window: Window = Window.NOTHING


class AskedError(BaseException):
    """The handler needs another response. Not an Exception, so that the handler does not catch it."""

    def __init__(self, request: Request) -> None:
        self.request = request


class Ended(Enum):
    """How a handler ends: successfully, or with an error, so that its event is retried."""

    WELL = "well"
    FAILED = "failed"


@cache
def next_request(handler: Handler) -> Request | Ended:
    """Run the pipeline with the responses of a handler; returns its next request, or how it ends."""
    client = Client(handler.answers)
    arrival = Arrival(SETTINGS.raw_bucket, KEY, time.time() if handler.young else LONG_AGO, size=1)
    pipeline.PREDICTION.new = bool(handler.predicts_new)
    try:
        with patch("time.monotonic", lambda: client.now):
            handle([arrival], ObjectStore(cast("Any", client)), SETTINGS, lambda: FIFTEEN_MINUTES)
    except AskedError as asked:
        return asked.request
    except UploadsFailedError:
        return Ended.FAILED
    return Ended.WELL


def absent(request: Request, *, deleted: bool = False) -> Refused:
    """Return S3's error for an absent object. The response to HEAD has no body, so its code is the status."""
    return Refused("404" if request.operation == "head_object" else "NoSuchKey", deleted)


def answer(request: Request, current: Stored | None) -> tuple[Answer, Stored | None]:
    """Return S3's response to a request, and the object after it."""
    conditions = dict(request.conditions)
    if current is None and (not request.writes or "IfMatch" in conditions):
        return absent(request), current
    if current and ("IfNoneMatch" in conditions or conditions.get("IfMatch", current.etag) != current.etag):
        return Refused("PreconditionFailed"), current
    if request.writes:
        return Written(), request.writes
    start = int(conditions.get("Range", "bytes=0-")[len("bytes=") : -1])
    return Read(cast("Stored", current), start), current


class Client:
    """A boto3 client that returns these responses."""

    meta = Mock()  # botocore's events, which are not modelled

    def __init__(self, answers: Answers) -> None:
        self._answers = iter(answers)
        self._parts: list[bytes] = []
        self._metadata: Mapping[str, str] = {}
        self.now = 0.0

    def head_object(self, **named: Any) -> dict[str, Any]:
        return _read(self._ask("head_object", named))

    def get_object(self, **named: Any) -> dict[str, Any]:
        return _read(self._ask("get_object", named))

    def put_object(self, **named: Any) -> None:
        body = named["Body"]
        self._ask("put_object", named, Stored(body, md5(body), metadata=pairs(named["Metadata"])))

    def create_multipart_upload(self, **named: Any) -> dict[str, str]:
        self._metadata, self._parts = named["Metadata"], []
        return {"UploadId": "1"}

    def upload_part(self, **named: Any) -> dict[str, str]:
        self._parts.append(bytes(named["Body"]))
        return {"ETag": md5(named["Body"])}

    def complete_multipart_upload(self, **named: Any) -> None:
        etag = f"{md5(b''.join(bytes.fromhex(md5(part)) for part in self._parts))}-{len(self._parts)}"
        stored = Stored(b"".join(self._parts), etag, metadata=pairs(self._metadata))
        self._ask("complete_multipart_upload", named, stored)

    def abort_multipart_upload(self, **_: Any) -> None:
        self._parts = []

    def _ask(self, operation: str, named: Mapping[str, Any], writes: Stored | None = None) -> Answer:
        conditions = {name: named[name] for name in ("IfMatch", "IfNoneMatch", "Range") if name in named}
        try:
            answered = next(self._answers)
        except StopIteration:
            asked = Request(operation, named["Bucket"], named["Key"], pairs(conditions), writes)
            raise AskedError(asked) from None
        if isinstance(answered, Refused):
            headers = {"x-amz-delete-marker": "true"} if answered.deleted else {}
            response: Any = {"Error": {"Code": answered.code}, "ResponseMetadata": {"HTTPHeaders": headers}}
            raise ClientError(response, operation)
        if answered == Written(late=True):
            self.now += pipeline.RECHECK_AFTER
        return answered


class Body:
    """The body of a response."""

    def __init__(self, body: bytes, *, breaks: bool) -> None:
        self._body = body
        self._breaks = breaks

    def iter_chunks(self, _: int) -> Iterator[bytes]:
        if self._breaks:
            yield self._body[:1]
            raise IncompleteReadError(actual_bytes=1, expected_bytes=len(self._body))
        yield self._body

    def close(self) -> None:
        pass


def _read(answered: Answer) -> dict[str, Any]:
    stored, start, breaks = cast("Read", answered)
    size, body = len(stored.body), stored.body[start:]
    return {
        "ETag": stored.etag,
        "Metadata": dict(stored.metadata),
        "ContentLength": len(body),
        "ContentRange": f"bytes {start}-{size - 1}/{size}",
        "Body": Body(body, breaks=breaks),
        **({} if stored.version == "null" else {"VersionId": stored.version}),
    }


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()  # noqa: S324 - S3's ETag


def pairs(named: Mapping[str, str]) -> Pairs:
    return tuple(sorted(named.items()))
