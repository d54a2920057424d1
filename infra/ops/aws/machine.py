"""The state machine that replays uploads: started, followed, braked; in AWS and in the local cloud alike."""

import json
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.place import Place
from infra.ops.errors import OperatorError
from infra.ops.stage import APPLICATION

RUNNING = "RUNNING"


class NoReplayError(OperatorError):
    """There is no state machine, or no run of that name; says what to do."""


class Run(NamedTuple):
    """A run: RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED; `error` says why it failed."""

    name: str
    status: str
    error: str
    started: datetime
    stopped: datetime | None


class Machine:
    """The state machine of a stage, and its runs by their names. Its methods raise NoReplayError."""

    def __init__(self, place: Place) -> None:
        self.stage = place.stage
        self.client = boto3.client("stepfunctions", region_name=place.region)
        self._ours = f"arn:aws:states:{place.region}:{place.account}"
        self._name = f"{APPLICATION}-{place.stage}-replay"
        self._arn = f"{self._ours}:stateMachine:{self._name}"

    @cached_property
    def bucket(self) -> str:
        """Bucket of the manifests and results."""
        try:
            definition = self.client.describe_state_machine(stateMachineArn=self._arn)["definition"]
        except self.client.exceptions.StateMachineDoesNotExist:
            raise NoReplayError(
                f"There is no state machine {self._name}. First `make deploy STAGE={self.stage}`."
            ) from None
        bucket: str = json.loads(definition)["States"]["ManifestObjects"]["ResultWriter"]["Parameters"][
            "Bucket"
        ]
        return bucket

    def start(self, name: str, asked: dict[str, Any]) -> None:
        """Start a run; the same name again with the same input changes nothing, while it runs."""
        self.client.start_execution(stateMachineArn=self._arn, name=name, input=json.dumps(asked))

    def look(self, name: str) -> Run:
        """Say how a run is."""
        try:
            found = self.client.describe_execution(executionArn=f"{self._ours}:execution:{self._name}:{name}")
        except self.client.exceptions.ExecutionDoesNotExist:
            raise NoReplayError(f"There is no run {name} of {self._name}.") from None
        error = f"{found.get('error', '')} {found.get('cause', '')}".strip()
        return Run(name, found["status"], error, found["startDate"], found.get("stopDate"))

    def running(self) -> list[str]:
        """Name the runs that are not done."""
        found = self.client.list_executions(stateMachineArn=self._arn, statusFilter=RUNNING)
        return [one["name"] for one in found["executions"]]

    def progress(self, name: str) -> tuple[int, int | None]:
        """Say how many objects are done, of how many; None as long as that is not known."""
        for arn in self.map_runs(name):
            counts = self.client.describe_map_run(mapRunArn=arn)["itemCounts"]
            return sum(counts[how] for how in ("succeeded", "failed", "timedOut", "aborted")), counts["total"]
        return 0, None

    def brake(self, name: str, batches: int) -> bool:
        """Let a run hand out so many batches at once, from now on; False if it has not begun to."""
        found = self.map_runs(name)
        for arn in found:
            self.client.update_map_run(mapRunArn=arn, maxConcurrency=batches)
        return bool(found)

    def map_runs(self, name: str) -> list[str]:
        """Name the map run of a run, by its ARN; none if it has not begun."""
        arn = f"{self._ours}:execution:{self._name}:{name}"
        return [run["mapRunArn"] for run in self.client.list_map_runs(executionArn=arn)["mapRuns"]]
