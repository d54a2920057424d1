"""The deployed stage that `verify` checks."""

from typing import NamedTuple

from infra.ops.aws.uploads import Buckets
from infra.ops.errors import OperatorError

# Every key of `verify` starts with it, and no other key may.
PREFIX = "smoke-test/"


class Patience(NamedTuple):
    """Timeouts in seconds.

    `bucket`: until a new bucket works. Versioning may take 15 minutes
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html), notifications
    "a minute or longer" (https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html).
    `api`: until a new API resolves in DNS and no longer answers 403 or 500.
    `upload`: for one upload. After that, `verify` invokes the function for the reason of the failure, and
    retries if the bucket is new.
    """

    bucket: float = 15 * 60
    api: float = 2 * 60
    upload: float = 60


class Target(NamedTuple):
    """Where to upload and post, and the timeouts."""

    buckets: Buckets
    function: str
    url: str
    region: str
    patience: Patience = Patience()


class UnexpectedError(OperatorError):
    """A check failed; says what was observed."""
