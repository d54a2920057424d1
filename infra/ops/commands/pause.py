"""`pause` and `resume`: stop a stage from publishing, without losing an upload, and start it again."""

from typing import NamedTuple

from botocore.exceptions import ClientError

from infra.ops.aws.failures import FailureQueue
from infra.ops.aws.place import Place
from infra.ops.aws.switch import Switch
from infra.ops.commands.configure import made
from infra.ops.stage import Stage
from infra.ops.tools.roots import state_bucket


class Resumed(NamedTuple):
    """The stage's concurrency (None: no limit of its own), and how many events wait in the failure queue."""

    at_once: int | None
    waiting: int


def pause(place: Place) -> dict[str, str]:
    """Stop publishing; returns what that means for uploads, as facts to print."""
    switch = Switch(place)
    by_queue = switch.position().by_queue
    switch.off()
    where = "in the queue of uploads" if by_queue else "in the failure queue"
    redrive = "" if by_queue else f", then make redrive STAGE={place.stage}"
    return {
        "new uploads": f"wait {where}, for 14 days",
        "running invocations": f"end within {place.timeout} seconds",
        "POST /process": "is another function: it still answers",
        "to continue": f"make resume STAGE={place.stage}{redrive}; a deployment ends the pause, too",
    }


def resume(place: Place) -> Resumed:
    """Publish again, with the concurrency that Terraform's outputs say. Raises OperatorError."""
    at_once = _reserved(place.stage)
    Switch(place).on(at_once)
    return Resumed(at_once, _waiting(place))


def _reserved(stage: str) -> int | None:
    """Read the concurrency that `deploy` would set. The value from before the pause is not stored."""
    if stage == "local":
        return None
    named = Stage(stage)
    reserved: int | None = made(named, state_bucket(named)).get("reserved_concurrency")
    return reserved


def _waiting(place: Place) -> int:
    try:
        return len(FailureQueue(place))
    except ClientError:  # whoever may resume may lack the permission to read the queue
        return 0
