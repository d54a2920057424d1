"""S3, to talk to the bucket with the Terraform states."""

from typing import Any

import boto3

from infra.ops.aws.account import account
from infra.ops.stage import Stage


def state_s3(stage: Stage) -> Any:
    """Make a client whose every call wants the bucket to be this account's; S3 answers 403 if it is not.

    Anybody can take the name of a bucket that was deleted.
    """
    owner = account(stage.region)
    s3: Any = boto3.client("s3", region_name=stage.state_region)
    s3.meta.events.register(
        "provide-client-params.s3", lambda params, **_: params | {"ExpectedBucketOwner": owner}
    )
    return s3
