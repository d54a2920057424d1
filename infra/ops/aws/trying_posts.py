"""What the stage answers to posts, signed, unsigned, and signed by nobody."""

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
# A key that AWS has given to nobody: its documentation's own example.
NOBODY = Credentials("AKIAIOSFODNN7EXAMPLE", "nobody")
# However the function then fared.
LET_IN = set(HTTPStatus) - {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
PAUSE = 0.5  # seconds


class Posts:
    """Tries each promise about posts; says what it saw, or raises UnexpectedError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._known = time.monotonic() + target.patience.api

    def checks(self) -> dict[str, Callable[[], str]]:
        """Name the promises, each with what tries it."""
        return {
            "POST is answered with the patients": self.plain,
            "POST of gzip is, too": self.packed,
            "POST without a signature is refused": self.unsigned,
            "POST signed by nobody is refused": self.by_nobody,
        }

    def plain(self) -> str:
        """Post a document."""
        return self._expect_patients(POSTED.document, JSON)

    def packed(self) -> str:
        """Post it packed."""
        return self._expect_patients(POSTED.packed, JSON | {"Content-Encoding": "gzip"})

    def unsigned(self) -> str:
        """Post it without a signature."""
        return self._expect_refusal(lambda: post(self._target.url, POSTED.document, JSON, region=None))

    def by_nobody(self) -> str:
        """Post it with the signature of nobody."""
        url, region = self._target.url, self._target.region
        return self._expect_refusal(
            lambda: post(url, POSTED.document, JSON, region=region, credentials=NOBODY)
        )

    def _expect_patients(self, body: bytes, headers: dict[str, str]) -> str:
        answer = self._answer(lambda: self._post(body, headers), {HTTPStatus.OK})
        if answer.status != HTTPStatus.OK or json.loads(answer.body) != ANSWER:
            raise UnexpectedError(_said(answer))
        return "200, 1 extracted, 1 rejected"

    def _expect_refusal(self, attempt: Callable[[], Answer]) -> str:
        # A new API refuses everybody for a moment, and one that is not there always does.
        signed = self._answer(lambda: self._post(POSTED.document, JSON), LET_IN)
        if signed.status not in LET_IN:
            raise UnexpectedError(f"even with your signature (execute-api:Invoke): {_said(signed)}")
        answer = self._answer(attempt, {HTTPStatus.FORBIDDEN})
        if answer.status != HTTPStatus.FORBIDDEN:
            raise UnexpectedError(_said(answer))
        return "403"

    def _post(self, body: bytes, headers: dict[str, str]) -> Answer:
        return post(self._target.url, body, headers, region=self._target.region)

    def _answer(self, attempt: Callable[[], Answer], wanted: set[HTTPStatus]) -> Answer:
        """Try until an answer is as wanted, or the API no longer so new that it may yet be."""
        while True:
            late = time.monotonic() > self._known
            try:
                answer = attempt()
            except OSError as error:  # URLError, and what urllib lets through
                if late:
                    raise UnexpectedError(f"{self._target.url} cannot be reached: {error}") from None
            else:
                if late or answer.status in wanted:
                    return answer
            time.sleep(PAUSE)


def _said(answer: Answer) -> str:
    return f"{answer.status} {answer.body[:200].decode(errors='replace')}"
