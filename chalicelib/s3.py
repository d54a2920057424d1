"""Requests to S3 by the AWS SDK, which is known here alone: how patient they are, and errors safe to log."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from botocore.session import get_session
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Larger ones are no faster, and are cut into such pieces by the extraction.
READ_SIZE = 64 * 1024

# Kept open, and so many requests at once: twice as many are hardly faster, for the SDK works on one core.
CONNECTIONS = 16
CONFIG = Config(
    connect_timeout=2,
    read_timeout=8,
    retries={"mode": "adaptive", "total_max_attempts": 5},
    max_pool_connections=CONNECTIONS,
)

# While a body comes, botocore leaves some of urllib3's errors as they are.
CONNECTION_LOST = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, HTTPError)
# What S3 answers to a conditional write that lost: the condition fails, or another write is under way.
# NoSuchUpload too: if the answer to a completion is lost, its repetition finds the upload gone.
OVERTAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload", "412", "409"}
# HEAD has no body and so no code. NoSuchBucket is not here: that is a fault, not an absent object.
ABSENT = {"NoSuchKey", "404"}

type Client = S3Client
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


class Head(NamedTuple):
    """An object as it stands: what it is (ETag, version) and the metadata that it was written with."""

    etag: str
    version: str
    metadata: Mapping[str, str]

    @property
    def unchanged(self) -> Condition:
        """Let a write succeed only while this object still stands."""
        return {"IfMatch": self.etag}


class S3:
    """A client whose errors are ours."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def request(self, operation: str, **parameters: object) -> Any:
        """Call one operation of S3; raises ObjectStoreError."""
        try:
            return getattr(self._client, operation)(**parameters)
        except ClientError as error:
            raise _safe(operation, error) from None
        except (BotoCoreError, ResponseParserError, HTTPError) as error:
            raise ObjectStoreError(f"{operation}: {type(error).__name__}") from None


def connected() -> Client:
    """Make a client with timeouts and retries that are set rather than defaulted."""
    # botocore's own: what boto3 puts around it takes a tenth of a cold start, and is not used.
    return cast("Client", get_session().create_client("s3", config=CONFIG))


def chunks(body: Any) -> Iterator[bytes]:
    """Yield what comes of an object until the connection ends, as it should or too early."""
    try:
        yield from body.iter_chunks(READ_SIZE)
    except CONNECTION_LOST:
        return
    except BotoCoreError as error:
        raise ObjectStoreError(f"get_object: {type(error).__name__}") from None


def head_of(answer: Mapping[str, Any]) -> Head:
    """Read the head of an object in what S3 answers to HEAD and GET."""
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
