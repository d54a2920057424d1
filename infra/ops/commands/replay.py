"""`replay`: publish many objects again, by the state machine of the stage; and say what became of them.

A run begins with its name and can be looked at under that name from anywhere, as long as AWS keeps it.
"""

import json
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import boto3

from chalicelib.events import SUFFIX
from infra.ops.aws.place import Place
from infra.ops.aws.results import Result, results
from infra.ops.aws.state_machine import RUNNING, Run, StateMachine
from infra.ops.errors import OperatorError
from infra.ops.screen.progress import bar

LOOK_EVERY = 1.0  # seconds
# What `reconcile` calls what is not published, and what is published from something else.
TO_DO = {"+", "*"}
STATES = TO_DO | {"=", "-", "!", "."}
FAR_OFF = "9999-12-31T00:00:00+00:00"
OUTCOMES = ("published", "unchanged", "malformed", "refused", "empty", "missing", "ignored", "failed")


class NothingToDoError(OperatorError):
    """No key is left to replay."""


class UnreadableLineError(OperatorError):
    """A line names no key; says which line."""


class Selection(NamedTuple):
    """Which uploads: below a prefix, of a window of time (ISO 8601); with `force`, also current ones."""

    prefix: str = ""
    created_after: str = "1970-01-01T00:00:00+00:00"
    created_before: str = FAR_OFF
    force: bool = False

    def asked(self, max_concurrency: int) -> dict[str, Any]:
        """Word it for the state machine."""
        return {**self._asdict(), "max_concurrency": max_concurrency, "scheduled": False}


def new_name() -> str:
    """Make up the name of a run: when, and something that nobody else has."""
    return f"replay-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def count(place: Place, selection: Selection) -> int:
    """Count the uploads that a run would look at."""
    after, before = map(datetime.fromisoformat, (selection.created_after, selection.created_before))
    s3 = boto3.client("s3", region_name=place.region)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=place.buckets.raw, Prefix=selection.prefix)
    found = (item for page in pages for item in page.get("Contents", []))
    return sum(item["Key"].endswith(SUFFIX) and after <= item["LastModified"] < before for item in found)


def named(lines: Iterable[str]) -> Iterator[str]:
    """Read keys: a bare one a line, or lines of `reconcile`, of those where something is to be done."""
    for number, line in enumerate(lines, start=1):
        try:
            state, key = _read(line.rstrip("\r\n"))
            wanted = state in TO_DO and key.endswith(SUFFIX)
        except (AttributeError, TypeError, ValueError):
            raise UnreadableLineError(f"Line {number} is neither a key nor a line of `reconcile`.") from None
        if wanted:
            yield key


def _read(line: str) -> tuple[str, str]:
    if line.startswith("{"):
        told = json.loads(line)
        return told.get("state", "+"), told.get("key", "")
    state, key = (line[0], line[2:]) if line[:1] in STATES and line[1:2] == " " else ("+", line)
    return state, json.loads(key) if key.startswith('"') else key


def failed(machine: StateMachine, run: str) -> Iterator[str]:
    """Read the keys that failed in an earlier run, which has ended."""
    if machine.describe(run).status == RUNNING:
        raise NothingToDoError(f"{run} still runs.")
    return (key for result in results(machine, run) for key in result.failed)


def hand_over(machine: StateMachine, run: str, keys: Iterable[str]) -> str:
    """Write a manifest of keys for a run; returns where it stands."""
    manifest = f"manifests/{run}.jsonl"
    with tempfile.TemporaryFile() as file:
        file.writelines(json.dumps({"Key": key}).encode() + b"\n" for key in keys)
        if not file.tell():
            raise NothingToDoError("No key is left to replay.")
        file.seek(0)
        s3 = boto3.client("s3", region_name=machine.client.meta.region_name)
        s3.upload_fileobj(file, machine.bucket, manifest)
    return manifest


def watch(machine: StateMachine, name: str) -> Run:
    """Follow a run until it ends."""
    with bar("Looking at objects") as advance:
        while (run := machine.describe(name)).status == RUNNING:
            advance(*machine.progress(name))
            time.sleep(LOOK_EVERY)
        advance(*machine.progress(name))
    return run


class Report:
    """What a run has come to."""

    def __init__(self, run: Run, batches: Iterable[Result]) -> None:
        self._run = run
        self.outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._sums: Counter[str] = Counter()
        for batch in batches:
            self._add(batch)

    def _add(self, batch: Result) -> None:
        for outcome in batch.outcomes or [{"outcome": "failed"} for _ in batch.keys]:
            self.outcomes[outcome["outcome"]] += 1
            for name in ("extracted", "rejected", "bytes_read"):
                self._sums[name] += outcome.get(name, 0)

    @property
    def state(self) -> str:
        """COMPLETED; COMPLETED_WITH_ERRORS: some cannot be published; FAILED: the run was cut short."""
        if self._run.status != "SUCCEEDED":
            return "FAILED"
        wrong = sum(self.outcomes[name] for name in ("failed", "malformed", "refused"))
        return "COMPLETED_WITH_ERRORS" if wrong else "COMPLETED"

    def facts(self) -> dict[str, str]:
        """Word it in the terms of an import job."""
        seconds = self._seconds()
        scanned, megabytes = self.outcomes.total(), self._sums["bytes_read"] / 1e6
        return {
            "state": self.state,
            **({"because": self._run.error} if self._run.error else {}),
            "scanned": str(scanned),
            **{name: str(self.outcomes[name]) for name in OUTCOMES},
            "records": str(self._sums["extracted"]),
            "rejected records": str(self._sums["rejected"]),
            "MB read": f"{megabytes:.1f}",
            "seconds": f"{seconds:.0f}",
            "objects a second": f"{scanned / seconds:.1f}",
            "MB a second": f"{megabytes / seconds:.1f}",
        }

    def _seconds(self) -> float:
        end = self._run.stopped or datetime.now(UTC)
        return max((end - self._run.started).total_seconds(), 0.001)


def report(machine: StateMachine, run: Run) -> Report:
    """Read what a run that has ended has come to."""
    return Report(run, results(machine, run.name))
