"""Fuzz the deployed API. It must answer as its OpenAPI document says; otherwise the exit code is 1.

python -m tests.hammer --seconds 600 [--seed 1]

It deploys the application into its own local cloud, and prints the number of answers of each status.
The body shows who answered: the function writes `reason`, API Gateway (here: MiniStack) writes `message`.
"""

import gzip
import http.client
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest
from jsonschema import Draft202012Validator

from infra.ops.aws.posting import Answer, sign
from infra.ops.commands.openapi import describe
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import REGION, local_cloud
from tests.benchmarks.fuzz import cases
from tests.canaries import DOCUMENTS
from tests.long_runs import run_options

TIMEOUT = 20  # seconds
OPERATION = describe()["paths"]["/process"]["post"]
TYPES = list(OPERATION["requestBody"]["content"])
NO_ROUTE = {403, 404}  # MiniStack answers 404 where there is no API

METHODS = ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
PATHS = ["/x", "/..", "/%00", "%FF", ";a=b", "/process", "x" * 5000, "/../../../process", "%"]
QUERIES = ["", "", "", "?", "?a=b&a=c", "?%FF=%00", "?" + "a" * 5000, "?patient_id=1", "?&&==;", "?a[]={}"]
OTHER_TYPES = ["text/csv", "", ";", "\x01", "\xe4", "application/xml", "application/octet-stream", "json"]
OTHER_TYPES += ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "a/b" * 1000]
PARAMETERS = ["", "", "", "; charset=utf-8", "; charset=utf-16", ";", "; boundary=x", " ", ";;=;\xe4"]
HEADERS = {
    "Accept": ["*/*", "image/png", "", "application/octet-stream", "\xff", "text/html;q=x"],
    "Accept-Encoding": ["gzip", "br", "identity;q=0", "*"],
    "Content-Encoding": ["gzip", "deflate", "br", "identity", "gzip, gzip", "", "\x01"],
    "Content-Language": ["xx", "\xe4" * 100],
    "Cookie": ["a=b", ";" * 1000],
    "Expect": ["", "200-ok"],
    "Forwarded": ["for=unknown", '"'],
    "Origin": ["null", "http://[::"],
    "Range": ["bytes=0-1", "bytes=x"],
    "X-Amzn-Trace-Id": ["Root=1", "x" * 5000],
    "X-Forwarded-For": ["127.0.0.1, ::1", "x"],
    "X-HTTP-Method-Override": ["DELETE"],
    "X-Patient": ["Ada", "x" * 8000, "\x7f"],
}
AUTHORIZATIONS = [
    "",
    "Basic QTpC",
    "Bearer x",
    "AWS4-HMAC-SHA256",
    "AWS4-HMAC-SHA256 Credential=a/b, Signature=c",
]
LARGE = [b"[" + b" " * 4_300_000 + b"]", b"1" * 4_300_000, b"[" * 500_000, b'{"a":' * 200_000]
LARGE += [
    gzip.compress(b" " * 5_000_000),
    b"[" + b"1," * 300_000 + b"1]",
    b"\0" * 300_000,
    b"[1" + b"0" * 10**6,
]
ODD = [
    b"",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe[\0]\0",
    b"null",
    b"\x1f\x8b",
    b"W10=",
    b"--x\r\n",
    b"a=b",
    b"\r\n0\r\n",
]


class Request(NamedTuple):
    """A request, and the statuses that its answer may have."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    allowed: set[int]
    signed: bool = True


def requests(seed: int) -> Iterator[Request]:
    """Yield requests without end; the same seed gives the same requests."""
    random = Random(seed)  # noqa: S311 - it must be repeatable
    fuzzed = cases(seed)
    while True:
        kind = random.random()
        body = _body(random, next(fuzzed).document)
        if kind < 0.8:
            yield _post(random, body)
        elif kind < 0.9:
            method, path = (random.choice(METHODS), "") if kind < 0.85 else ("POST", random.choice(PATHS))
            yield Request(method, path, _headers(random), body, NO_ROUTE)
        else:
            unsigned = _headers(random) | {"Authorization": random.choice(AUTHORIZATIONS)}
            yield Request("POST", random.choice(QUERIES), unsigned, body, {403}, signed=False)


def _post(random: Random, body: bytes) -> Request:
    headers, query = _headers(random), random.choice(QUERIES)
    if random.random() < 0.2:
        return Request("POST", query, headers | {"Content-Type": random.choice(OTHER_TYPES)}, body, {415})
    content_type = random.choice(TYPES) + random.choice(PARAMETERS)
    return Request("POST", query, headers | {"Content-Type": content_type}, body, {200, 400, 413})


def _body(random: Random, fuzzed: bytes) -> bytes:
    match random.randrange(50):
        case 0:
            return random.choice(LARGE)
        case 1 | 2 | 3 | 4:
            return random.choice(ODD)
        case 5 | 6 | 7:
            return random.randbytes(random.randrange(2000))
        case 8 | 9 | 10 | 11 | 12:
            return random.choice(list(DOCUMENTS.values()))
    return fuzzed


def _headers(random: Random) -> dict[str, str]:
    names = random.sample(list(HEADERS), random.choice((0, 0, 1, 2, 5)))
    headers = {name: random.choice(HEADERS[name]) for name in names}
    return headers | {f"X-{n}": "x" for n in range(random.choice((0,) * 20 + (80,)))}


class Api:
    """The deployed API, and the schemas of its answers."""

    def __init__(self, url: str) -> None:
        self._host, self._path = urlsplit(url).netloc, urlsplit(url).path
        self._url = url
        schemas = describe()["components"]
        self._answers = {
            int(status): Draft202012Validator(
                {**answer["content"]["application/json"]["schema"], "components": schemas}
            )
            for status, answer in OPERATION["responses"].items()
        }

    def fault(self, request: Request) -> tuple[int, str]:
        """Send a request; returns the status, and what is wrong with the answer, or an empty string."""
        answer = self._send(request)
        if answer.status not in request.allowed:
            return answer.status, f"not one of {request.allowed}: {answer.body[:200]!r}"
        if answer.status not in self._answers or request.method == "HEAD":
            return answer.status, ""
        valid = self._answers[answer.status].is_valid(json.loads(answer.body))
        return answer.status, "" if valid else f"not as described: {answer.body[:200]!r}"

    def _send(self, request: Request) -> Answer:
        signed = AWSRequest(request.method, self._url + request.target, {}, request.body)
        if request.signed:
            sign(signed, REGION)
        connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT)
        headers: dict[str, Any] = {**dict(signed.headers.items()), **request.headers}
        try:
            connection.request(request.method, self._path + request.target, request.body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()


def hammer(url: str, requests: Iterable[Request]) -> Counter[int]:
    """Send requests; count the answers by status. Raises AssertionError at the first wrong answer."""
    api = Api(url)
    statuses: Counter[int] = Counter()
    for request in requests:
        status, fault = api.fault(request)
        assert not fault, f"{status} {fault}\n{request}"
        statuses[status] += 1
    return statuses


def main() -> int:
    """Fuzz an API for some time; returns the exit code."""
    options = run_options(__doc__)
    with local_cloud() as folder:
        local_stage.make_buckets()
        url = local_stage.deploy(folder)
        end = time.monotonic() + options.seconds
        try:
            statuses = hammer(url, takewhile(lambda _: time.monotonic() < end, requests(options.seed)))
        except AssertionError as error:
            sys.stdout.write(f"seed {options.seed}: {error}\n")
            return 1
    answers = ", ".join(f"{count:,} of {status}" for status, count in sorted(statuses.items()))
    sys.stdout.write(
        f"{statuses.total():,} requests of seed {options.seed}, all answered as described: {answers}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
