"""A signed request to the pipeline's API."""

import urllib.error
import urllib.request
from typing import NamedTuple

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError


class Answer(NamedTuple):
    """What an API answered: its status and its body."""

    status: int
    body: bytes


def post(url: str, document: bytes, headers: dict[str, str], *, signed: bool) -> Answer:
    """Post a document, signed (SigV4, with the credentials of the environment) or not."""
    request = AWSRequest("POST", url, headers, document)
    if signed:
        _sign(request)
    return _send(urllib.request.Request(url, document, dict(request.headers.items())))


def _sign(request: AWSRequest) -> None:
    session = boto3.Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    SigV4Auth(credentials, "execute-api", session.region_name).add_auth(request)


def _send(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read())
