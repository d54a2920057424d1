"""The S3 client for the bucket with the Terraform states."""

from typing import Any

import boto3

from infra.ops.aws.account import account
from infra.ops.stage import Stage


def state_s3(stage: Stage) -> Any:
    """Make a client that sends ExpectedBucketOwner: S3 answers 403 if the bucket is in another account.

    When a bucket is deleted, anybody can create one with its name.
    """
    owner = account(stage.region)
    s3: Any = boto3.client("s3", region_name=stage.state_region)
    s3.meta.events.register(
        "provide-client-params.s3", lambda params, **_: params | {"ExpectedBucketOwner": owner}
    )
    return s3
