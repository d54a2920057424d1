"""The deployed extraction revision, and what publication times prove about it."""

import json
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from infra.ops.aws.place import Place
from infra.ops.errors import OperatorError

# For some minutes after an update, Lambda may still run the old code; and clocks differ.
GRACE = timedelta(minutes=10)
EMPTY_REPLAY = json.dumps({"Items": []})  # does nothing; its answer contains the revision
ANSWERS_WITHIN = 30  # seconds, including a cold start


class NoRevisionError(OperatorError):
    """The function does not return its revision; says what to do."""


class Deployed(NamedTuple):
    """The revision that the function returns, and when the function was last changed."""

    revision: str
    changed: datetime


def deployed_revision(place: Place) -> Deployed:
    """Invoke the function of a stage with an empty replay; raises NoRevisionError."""
    config = Config(read_timeout=ANSWERS_WITHIN, retries={"total_max_attempts": 2})
    functions = boto3.client("lambda", region_name=place.region, config=config)
    changed = functions.get_function_configuration(FunctionName=place.function)["LastModified"]
    try:
        answer = functions.invoke(FunctionName=place.function, Payload=EMPTY_REPLAY)
    except functions.exceptions.TooManyRequestsException:
        raise NoRevisionError(
            f"The function {place.function} cannot say which revision it is: it is paused, or throttled. "
            "Resume it, or try again later."
        ) from None
    except ReadTimeoutError:
        raise NoRevisionError(
            f"The function {place.function} did not answer within {ANSWERS_WITHIN} seconds. Try again later."
        ) from None
    match json.loads(answer["Payload"].read()):
        case {"revision": str(revision)}:
            return Deployed(revision, datetime.fromisoformat(changed))
    raise NoRevisionError("The function does not say which revision it is; it may be too old. Deploy first.")


class Revisions:
    """Learns from some publications since when the deployed revision has published.

    A publication is certainly of the deployed revision if it is later than the last change of the function
    by the longest run and a grace period. For earlier ones, revisions follow each other in time. So a
    publication is of the deployed revision if an earlier one is known to be, and no later one is known not to
    be. If all are of the deployed revision, a few lookups are enough.
    """

    def __init__(self, now: Deployed, longest_run: timedelta) -> None:
        self._revision = now.revision
        self._certain = now.changed + longest_run + GRACE
        self._changing = now.changed - GRACE
        self._oldest_of_it = self._changing
        self._newest_of_others = datetime.min.replace(tzinfo=UTC)
        self._lock = Lock()

    def is_deployed(self, revision: str | None) -> bool:
        """Say whether a revision is the deployed one."""
        return revision == self._revision

    def proven_by(self, published: datetime) -> bool:
        """Say whether a publication's time proves that the deployed revision made it."""
        if published >= self._changing:
            return published > self._certain
        return self._newest_of_others < published and self._oldest_of_it <= published

    def learn(self, published: datetime, revision: str | None) -> None:
        """Take note of a publication's time and revision."""
        if published >= self._changing:
            return
        with self._lock:
            if self.is_deployed(revision):
                self._oldest_of_it = min(self._oldest_of_it, published)
            else:
                self._newest_of_others = max(self._newest_of_others, published)
