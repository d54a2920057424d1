"""Requests to S3: timeouts, retries, and errors that are safe to log. No other module imports the AWS SDK."""

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

# Bytes of one read. Larger reads are no faster, and the extraction splits them into pieces of this size.
READ_SIZE = 64 * 1024

# Connections in the pool, and so requests at once. Twice as many are hardly faster: the SDK uses one core.
CONNECTIONS = 16
CONFIG = Config(
    connect_timeout=2,
    read_timeout=8,
    retries={"mode": "adaptive", "total_max_attempts": 5},
    max_pool_connections=CONNECTIONS,
)

# While a body is read, botocore does not wrap every error of urllib3.
CONNECTION_LOST = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, HTTPError)
# Error codes of a conditional write that lost: its condition fails, or another write is in progress.
# NoSuchUpload too: if the response to a completion is lost, the retry finds that the upload is gone.
OVERTAKEN_CODES = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload", "412", "409"}
# The response to HEAD has no body, so its code is the status. NoSuchBucket is an error, not an absent object.
ABSENT_CODES = {"NoSuchKey", "404"}

type Client = S3Client
type Condition = Mapping[str, str]
UNCONDITIONAL: Condition = {}
IF_ABSENT: Condition = {"IfNoneMatch": "*"}


class ObjectStoreError(Exception):
    """A request failed: operation and error code. S3's message is left out, because it may quote the key."""


class AbsentError(ObjectStoreError):
    """The object does not exist."""


class DeletedError(AbsentError):
    """The object was deleted: its current version is a delete marker."""


class OvertakenError(ObjectStoreError):
    """Another writer changed the object in the meantime. Start again from what is current."""


class Head(NamedTuple):
    """The current object of a key: its ETag, its version, and the metadata that it was written with."""

    etag: str
    version: str
    metadata: Mapping[str, str]

    @property
    def if_unchanged(self) -> Condition:
        """The condition that a write succeeds only if this object is still the current one."""
        return {"IfMatch": self.etag}


class S3:
    """A client that raises ObjectStoreError for every failure."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def request(self, operation: str, **parameters: object) -> Any:
        """Call an S3 operation; raises ObjectStoreError."""
        try:
            return getattr(self._client, operation)(**parameters)
        except ClientError as error:
            raise _without_message(operation, error) from None
        except (BotoCoreError, ResponseParserError, HTTPError) as error:
            raise ObjectStoreError(f"{operation}: {type(error).__name__}") from None


def new_client() -> Client:
    """Make a client with explicit timeouts and retries."""
    # botocore's client: the layer of boto3 is not used and would take a tenth of a cold start.
    return cast("Client", get_session().create_client("s3", config=CONFIG))


def chunks(body: Any) -> Iterator[bytes]:
    """Yield the bytes of a response body until it ends or the connection is lost."""
    try:
        yield from body.iter_chunks(READ_SIZE)
    except CONNECTION_LOST:
        return
    except BotoCoreError as error:
        raise ObjectStoreError(f"get_object: {type(error).__name__}") from None


def parse_head(response: Mapping[str, Any]) -> Head:
    """Read ETag, version and metadata from the response to HEAD or GET."""
    # Objects that were written without versioning, or while it was suspended, all have the version "null".
    # Their ETag, a digest of the content, takes its place.
    version = response.get("VersionId", "null")
    etag = response["ETag"]
    return Head(etag, etag.strip('"') if version == "null" else version, response["Metadata"])


def _without_message(operation: str, error: ClientError) -> ObjectStoreError:
    code = error.response["Error"]["Code"]
    return _error_class(code, error.response)(f"{operation}: {code}")


def _error_class(code: str, response: Mapping[str, Any]) -> type[ObjectStoreError]:
    if code in ABSENT_CODES:
        deleted = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-delete-marker")
        return DeletedError if deleted == "true" else AbsentError
    return OvertakenError if code in OVERTAKEN_CODES else ObjectStoreError
