"""Signed requests to the pipeline's API."""

import urllib.error
import urllib.request
from typing import NamedTuple

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError

from infra.ops.local.cloud import trust


class Answer(NamedTuple):
    """HTTP status and body of a response."""

    status: int
    body: bytes


def post(
    url: str,
    document: bytes,
    headers: dict[str, str],
    *,
    region: str | None,
    credentials: Credentials | None = None,
) -> Answer:
    """Post a document, signed for a region (SigV4); unsigned if `region` is None."""
    request = AWSRequest("POST", url, headers, document)
    if region:
        sign(request, region, credentials)
    return _send(urllib.request.Request(url, document, dict(request.headers.items())))


def sign(request: AWSRequest, region: str, credentials: Credentials | None = None) -> None:
    """Sign a request to an API in a region (SigV4), by default with the environment's credentials."""
    credentials = credentials or boto3.Session().get_credentials()
    if credentials is None:
        raise NoCredentialsError
    SigV4Auth(credentials, "execute-api", region).add_auth(request)


def _send(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=60, context=trust()) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read())
