"""Which extraction is deployed, and which publications are of it, as far as their times tell."""

import json
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import NamedTuple

import boto3
from botocore.config import Config

from infra.ops.aws.place import Place
from infra.ops.errors import OperatorError

# A function that is changed may be called as it was for some minutes more; and clocks differ.
GRACE = timedelta(minutes=10)
NOTHING = json.dumps({"Items": []})  # a replay of no objects


class SilentError(OperatorError):
    """The function does not say which revision it is; says what to do."""


class Deployed(NamedTuple):
    """The revision that the function says it is, and since when it has not been changed."""

    revision: str
    changed: datetime


def deployed(place: Place) -> Deployed:
    """Ask the function of a stage; raises SilentError."""
    once = Config(read_timeout=place.timeout, retries={"total_max_attempts": 2}, tcp_keepalive=True)
    functions = boto3.client("lambda", region_name=place.region, config=once)
    changed = functions.get_function_configuration(FunctionName=place.function)["LastModified"]
    try:
        answer = functions.invoke(FunctionName=place.function, Payload=NOTHING)
    except functions.exceptions.TooManyRequestsException:
        raise SilentError(
            f"The function {place.function} cannot say which revision it is: it is paused, or has as much to "
            "do as it may. Resume it, or try again later."
        ) from None
    return Deployed(_revision(answer["Payload"].read()), datetime.fromisoformat(changed))


def _revision(answer: bytes) -> str:
    match json.loads(answer):
        case {"revision": str(revision)}:
            return revision
    raise SilentError("The deployed function is too old to say which revision it is: first deploy this one.")


class Revisions:
    """Learns, from some publications and their revisions, when the deployed revision began to publish.

    What was published a run and some minutes after the function was last changed is of its revision. Before,
    publications of one revision follow each other: what is later than one of the deployed revision is of it
    too, unless a later one is known that is not. So where all are current it takes but a few to know it.
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

    def tell(self, published: datetime) -> bool:
        """Say whether the time of a publication tells that it is of the deployed revision."""
        if published >= self._changing:
            return published > self._certain
        return self._newest_of_others < published and self._oldest_of_it <= published

    def learn(self, published: datetime, revision: str | None) -> None:
        """Take note of a publication."""
        if published >= self._changing:
            return
        with self._lock:
            if self.is_deployed(revision):
                self._oldest_of_it = min(self._oldest_of_it, published)
            else:
                self._newest_of_others = max(self._newest_of_others, published)
