"""Checks of `POST /process`: signed, unsigned, and signed with an unknown access key."""

import json
import time
from collections.abc import Callable
from http import HTTPStatus

from botocore.credentials import Credentials

from infra.ops.aws.posting import Answer, post
from infra.ops.aws.synthetic import scans
from infra.ops.aws.target import Target, UnexpectedError

JSON = {"Content-Type": "application/json"}
POSTED = scans(1, {})
ANSWER = {
    "records": json.loads(POSTED.published),
    "rejected": POSTED.reasons,
    "counts": {"extracted": 1, "rejected": 1},
}
# The example key of AWS's documentation, which belongs to no account.
NOBODY = Credentials("AKIAIOSFODNN7EXAMPLE", "nobody")
# Any status that shows that API Gateway accepted the request.
ACCEPTED = set(HTTPStatus) - {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
POLL_SECONDS = 0.5


class PostChecks:
    """Each check returns what it observed, or raises UnexpectedError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._new_until = time.monotonic() + target.patience.api

    def checks(self) -> dict[str, Callable[[], str]]:
        """Return the checks by name."""
        return {
            "POST is answered with the patients": self.plain,
            "POST with gzip is answered with the patients": self.packed,
            "POST without a signature is refused": self.unsigned,
            "POST signed by nobody is refused": self.by_nobody,
        }

    def plain(self) -> str:
        """Post a document."""
        return self._expect_patients(POSTED.document, JSON)

    def packed(self) -> str:
        """Post it in gzip."""
        return self._expect_patients(POSTED.packed, JSON | {"Content-Encoding": "gzip"})

    def unsigned(self) -> str:
        """Post it without a signature."""
        return self._expect_refusal(lambda: post(self._target.url, POSTED.document, JSON, region=None))

    def by_nobody(self) -> str:
        """Post it, signed with an unknown access key."""
        url, region = self._target.url, self._target.region
        return self._expect_refusal(
            lambda: post(url, POSTED.document, JSON, region=region, credentials=NOBODY)
        )

    def _expect_patients(self, body: bytes, headers: dict[str, str]) -> str:
        answer = self._answer(lambda: self._post(body, headers), {HTTPStatus.OK})
        if answer.status != HTTPStatus.OK or json.loads(answer.body) != ANSWER:
            raise UnexpectedError(_describe(answer))
        return "200, 1 extracted, 1 rejected"

    def _expect_refusal(self, attempt: Callable[[], Answer]) -> str:
        # A new API answers 403 to everybody for a moment, and a missing one always does.
        signed = self._answer(lambda: self._post(POSTED.document, JSON), ACCEPTED)
        if signed.status not in ACCEPTED:
            raise UnexpectedError(f"even with your signature (execute-api:Invoke): {_describe(signed)}")
        answer = self._answer(attempt, {HTTPStatus.FORBIDDEN})
        if answer.status != HTTPStatus.FORBIDDEN:
            raise UnexpectedError(_describe(answer))
        return "403"

    def _post(self, body: bytes, headers: dict[str, str]) -> Answer:
        return post(self._target.url, body, headers, region=self._target.region)

    def _answer(self, attempt: Callable[[], Answer], wanted: set[HTTPStatus]) -> Answer:
        """Retry until the status is a wanted one, or the API is no longer new."""
        while True:
            late = time.monotonic() > self._new_until
            try:
                answer = attempt()
            except OSError as error:  # URLError is one, and urllib passes others on
                if late:
                    raise UnexpectedError(f"{self._target.url} cannot be reached: {error}") from None
            else:
                if late or answer.status in wanted:
                    return answer
            time.sleep(POLL_SECONDS)


def _describe(answer: Answer) -> str:
    return f"{answer.status} {answer.body[:200].decode(errors='replace')}"
