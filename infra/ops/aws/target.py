"""A deployed stage, as it is tried."""

from typing import NamedTuple

from infra.ops.aws.uploads import Buckets

# All that is tried is below it, and nothing else is.
PREFIX = "smoke-test/"


class Patience(NamedTuple):
    """Seconds to wait.

    `bucket`: until what is uploaded to a new bucket is published. Its versioning may take 15 minutes
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html), its notification
    "a minute or longer" (https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html).
    `api`: until a new API is known by its name and does not answer 403 or 500.
    `upload`: for one upload, before it is asked what is wrong and, in a new bucket, uploaded again.
    """

    bucket: float = 15 * 60
    api: float = 2 * 60
    upload: float = 60


class Target(NamedTuple):
    """Where a stage takes uploads and posts, and how patient to be with it."""

    buckets: Buckets
    function: str
    url: str
    region: str
    patience: Patience = Patience()


class UnexpectedError(Exception):
    """The stage does not do what it should; says what was seen."""
