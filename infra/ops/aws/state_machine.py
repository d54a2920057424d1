"""The state machine that replays uploads, in AWS or in the local cloud."""

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
    """There is no state machine, or no run of this name; says what to do."""


class Run(NamedTuple):
    """A run; `status` is RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, `error` says why it failed."""

    name: str
    status: str
    error: str
    started: datetime
    stopped: datetime | None


class StateMachine:
    """The state machine of a stage. Its methods raise NoReplayError."""

    def __init__(self, place: Place) -> None:
        self.stage = place.stage
        self.client = boto3.client("stepfunctions", region_name=place.region)
        self._ours = f"arn:aws:states:{place.region}:{place.account}"
        self._name = f"{APPLICATION}-{place.stage}-replay"
        self._arn = f"{self._ours}:stateMachine:{self._name}"

    @cached_property
    def bucket(self) -> str:
        """Name of the bucket with manifests and results."""
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

    def start(self, name: str, options: dict[str, Any]) -> None:
        """Start a run. Idempotent for the same name and input while the run is running."""
        self.client.start_execution(stateMachineArn=self._arn, name=name, input=json.dumps(options))

    def describe(self, name: str) -> Run:
        """Return the state of a run."""
        try:
            found = self.client.describe_execution(executionArn=f"{self._ours}:execution:{self._name}:{name}")
        except self.client.exceptions.ExecutionDoesNotExist:
            raise NoReplayError(f"There is no run {name} of {self._name}.") from None
        error = f"{found.get('error', '')} {found.get('cause', '')}".strip()
        return Run(name, found["status"], error, found["startDate"], found.get("stopDate"))

    def running(self) -> list[str]:
        """Return the names of the running runs."""
        found = self.client.list_executions(stateMachineArn=self._arn, statusFilter=RUNNING)
        return [one["name"] for one in found["executions"]]

    def progress(self, name: str) -> tuple[int, int | None]:
        """Return how many objects are done, and how many there are; None while that is unknown."""
        for arn in self.map_runs(name):
            counts = self.client.describe_map_run(mapRunArn=arn)["itemCounts"]
            return sum(counts[how] for how in ("succeeded", "failed", "timedOut", "aborted")), counts["total"]
        return 0, None

    def brake(self, name: str, batches: int) -> bool:
        """Change the number of concurrent batches of a run; False if it has not started any yet."""
        found = self.map_runs(name)
        for arn in found:
            self.client.update_map_run(mapRunArn=arn, maxConcurrency=batches)
        return bool(found)

    def map_runs(self, name: str) -> list[str]:
        """Return the ARN of the run's map run; an empty list before it starts."""
        arn = f"{self._ours}:execution:{self._name}:{name}"
        return [run["mapRunArn"] for run in self.client.list_map_runs(executionArn=arn)["mapRuns"]]
