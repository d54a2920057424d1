"""Which account, regions and endpoints the AWS clients reach. Shown before anything is changed."""

import os
import re
from collections.abc import Iterator
from typing import Any

import boto3
from botocore import exceptions as botocore_errors
from botocore.session import Session

from infra.ops.errors import OperatorError
from infra.ops.local.cloud import runs_at
from infra.ops.stage import Stage

AWS = re.compile(r"https://([a-z0-9-]+\.)+(amazonaws\.com|amazonaws\.com\.cn|api\.aws)(:443)?/?")

NO_CREDENTIALS = (
    botocore_errors.CredentialRetrievalError,
    botocore_errors.LoginError,
    botocore_errors.NoAuthTokenError,
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.ProfileNotFound,
    botocore_errors.SSOError,
    botocore_errors.TokenRetrievalError,
)
# Error codes for access keys that have expired or are unknown.
REFUSED_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
HOW_TO_GIVE_CREDENTIALS = (
    "Give credentials that are valid: in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for "
    "temporary ones, AWS_SESSION_TOKEN), or as a profile of ~/.aws/config (AWS_PROFILE is its name). "
    "A profile that uses SSO needs `aws sso login` first."
)


class ForeignEndpointError(OperatorError):
    """An endpoint is neither AWS nor a local cloud of this project; names it, and says what to do."""


def reached(stage: Stage) -> dict[str, str]:
    """Return account, regions and configured endpoints, by name; raises ForeignEndpointError."""
    endpoints = dict(_configured())
    for name, endpoint in endpoints.items():
        _refuse_foreign(name, endpoint)
    return {
        "account": account(stage.region),
        "region": stage.region,
        "region of the state": stage.state_region,
        **endpoints,
    }


def account(region: str) -> str:
    """Return the number of the account that the credentials belong to."""
    return str(boto3.client("sts", region_name=region).get_caller_identity()["Account"])


def lacks_credentials(error: Exception) -> bool:
    """Say whether an error means that credentials are missing or not valid."""
    if isinstance(error, botocore_errors.ClientError):
        return error.response["Error"]["Code"] in REFUSED_CREDENTIALS
    return isinstance(error, NO_CREDENTIALS)


def _configured() -> Iterator[tuple[str, str]]:
    """Yield each configured endpoint, after the name of its setting."""
    for name, value in os.environ.items():
        if name.startswith("AWS_ENDPOINT_URL") and value:
            yield name, value
    session = Session()
    profile: dict[str, Any] = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    for name, section in {"the profile": profile, **services}.items():
        if "endpoint_url" in section:
            yield f"endpoint_url of {name}", section["endpoint_url"]


def _refuse_foreign(name: str, endpoint: str) -> None:
    if not (AWS.fullmatch(endpoint) or runs_at(endpoint)):
        raise ForeignEndpointError(
            f"{name} is {endpoint}: neither AWS nor a running local cloud (`make up`). "
            "Nothing was changed. To reach AWS, remove that setting, and the keys that came with it."
        )
