"""S3 as far as the pipeline uses it, as a value: a handler is what it has been answered, a world what stands.

What a handler asks of S3 next depends on nothing but the answers that it has had. So a handler that is
half-way is the tuple of those answers: to learn its next request, the real `invocations.handle` runs from its
start on them until it asks for more.
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
    """An object as it stands. Only raw ones have versions: the pipeline looks at no other's."""

    body: bytes
    etag: str
    version: str = "null"
    metadata: Pairs = ()

    @property
    def made_from(self) -> int:
        return int(dict(self.metadata)["source-version"])


class Request(NamedTuple):
    """What a handler asks of S3, as far as anybody else could notice: the parts of an upload are its own."""

    operation: str
    bucket: str
    key: str
    conditions: Pairs  # IfMatch, IfNoneMatch, Range
    writes: Stored | None = None


class Refused(NamedTuple):
    """An error: S3's code, and whether a delete marker stands there."""

    code: str
    deleted: bool = False


class Read(NamedTuple):
    """The answer where there is an object: its bytes from some place on, on a connection that may break."""

    stored: Stored
    start: int = 0
    breaks: bool = False


class Written(NamedTuple):
    """The answer to a write that succeeds; `late` if RECHECK_AFTER went by since the object was read."""

    late: bool = False


type Answer = Read | Refused | Written

type Answers = tuple[Answer, ...]


class Window(Enum):
    """What was done since a handler read the raw object of which it is about to publish something."""

    NOTHING = "nothing that matters"
    CHANGED = "the raw object changed"
    ERASED = "and then the processed object was deleted: by what is assumed, RECHECK_AFTER went by"


class Handler(NamedTuple):
    """A handler that is half-way.

    Was its event about an upload of a moment ago; does it guess that the object is new, None while that is
    open; what was it answered; and what was done since it has read.
    """

    young: bool
    guesses: bool | None = None
    answers: Answers = ()
    window: Window = Window.NOTHING


class AskedError(BaseException):
    """The handler waits for an answer. Not an Exception: it has to pass through the handler."""

    def __init__(self, request: Request) -> None:
        self.request = request


class Ended(Enum):
    """How a handler ends: well, or so that its event comes again."""

    WELL = "well"
    FAILED = "failed"


@cache
def next_request(handler: Handler) -> Request | Ended:
    """Run the pipeline on the answers of a handler; returns what it asks for next, or how it ends."""
    client = Client(handler.answers)
    arrival = Arrival(SETTINGS.raw_bucket, KEY, time.time() if handler.young else LONG_AGO, size=1)
    pipeline.PREDICTION.new = bool(handler.guesses)
    try:
        with patch("time.monotonic", lambda: client.now):
            handle([arrival], ObjectStore(cast("Any", client)), SETTINGS, lambda: FIFTEEN_MINUTES)
    except AskedError as asked:
        return asked.request
    except UploadsFailedError:
        return Ended.FAILED
    return Ended.WELL


def absent(request: Request, *, deleted: bool = False) -> Refused:
    """Say that there is nothing, as S3 does: HEAD has no body and so no code."""
    return Refused("404" if request.operation == "head_object" else "NoSuchKey", deleted)


def answer(request: Request, stands: Stored | None) -> tuple[Answer, Stored | None]:
    """Do as S3 does, at once: what does it answer, and what stands there then."""
    conditions = dict(request.conditions)
    if stands is None and (not request.writes or "IfMatch" in conditions):
        return absent(request), stands
    if stands and ("IfNoneMatch" in conditions or conditions.get("IfMatch", stands.etag) != stands.etag):
        return Refused("PreconditionFailed"), stands
    if request.writes:
        return Written(), request.writes
    start = int(conditions.get("Range", "bytes=0-")[len("bytes=") : -1])
    return Read(cast("Stored", stands), start), stands


class Client:
    """S3 as boto3 offers it, to a handler that has had these answers."""

    meta = Mock()  # botocore's events, of which there are none here

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
    """The bytes of an object as they come."""

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
