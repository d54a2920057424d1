"""`replay`: publish many objects again with the stage's state machine, and report the outcomes.

A run has a name, by which it can be followed from any machine as long as AWS keeps it.
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

POLL_SECONDS = 1.0
# The states in which `reconcile` shows what is not published, and what is outdated.
TO_DO = {"+", "*"}
STATES = TO_DO | {"=", "-", "!", "."}
OUTCOMES = ("published", "unchanged", "malformed", "refused", "empty", "missing", "ignored", "failed")


class NothingToDoError(OperatorError):
    """No key is left to replay."""


class UnreadableLineError(OperatorError):
    """A line is not a key. The message has the number of the line."""


class Selection(NamedTuple):
    """Which uploads: with a prefix, from a window of time (ISO 8601); with `force`, also current ones."""

    prefix: str = ""
    created_after: str = "1970-01-01T00:00:00+00:00"
    created_before: str = "9999-12-31T00:00:00+00:00"
    force: bool = False

    def as_input(self, max_concurrency: int) -> dict[str, Any]:
        """Return the input of the state machine."""
        return {**self._asdict(), "max_concurrency": max_concurrency, "scheduled": False}


def new_run_name() -> str:
    """Return a unique name for a run, which starts with the time."""
    return f"replay-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def count_uploads(place: Place, selection: Selection) -> int:
    """Count the uploads that a run would check."""
    after, before = map(datetime.fromisoformat, (selection.created_after, selection.created_before))
    s3 = boto3.client("s3", region_name=place.region)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=place.buckets.raw, Prefix=selection.prefix)
    found = (item for page in pages for item in page.get("Contents", []))
    return sum(item["Key"].endswith(SUFFIX) and after <= item["LastModified"] < before for item in found)


def read_keys(lines: Iterable[str], left_out: Counter[str]) -> Iterator[str]:
    """Read keys, one per line, or lines of `reconcile`; counts in `left_out` the other lines, by reason."""
    for number, line in enumerate(lines, start=1):
        try:
            state, key = _read(line.rstrip("\r\n"))
            key.encode()  # a lone surrogate is in no key
            why_not = _why_not(state, key)
        except (AttributeError, TypeError, ValueError):
            raise UnreadableLineError(f"Line {number} is neither a key nor a line of `reconcile`.") from None
        if why_not:
            left_out[why_not] += 1
        elif key:
            yield key


def _why_not(state: str, key: str) -> str:
    if state not in TO_DO:
        return "their state is neither + nor *"
    return f"their keys do not end in {SUFFIX}" if key and not key.endswith(SUFFIX) else ""


def _read(line: str) -> tuple[str, str]:
    if line.startswith("{"):
        entry = json.loads(line)
        return entry.get("state", "+"), entry.get("key", "")
    state, key = (line[0], line[2:]) if line[:1] in STATES and line[1:2] == " " else ("+", line)
    return state, json.loads(key) if key.startswith('"') else key


def failed_keys(machine: StateMachine, run: str) -> Iterator[str]:
    """Read the keys that failed in an earlier run. NothingToDoError if it has not ended."""
    if machine.describe(run).status == RUNNING:
        raise NothingToDoError(f"{run} is still running.")
    return (key for result in results(machine, run) for key in result.failed)


def upload_manifest(machine: StateMachine, run: str, keys: Iterable[str]) -> str:
    """Upload the manifest of a run, which lists its keys; returns the manifest's own key."""
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
    with bar("Checking objects") as advance:
        while (run := machine.describe(name)).status == RUNNING:
            advance(*machine.progress(name))
            time.sleep(POLL_SECONDS)
        advance(*machine.progress(name))
    return run


class Report:
    """The outcomes of a run, added up."""

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
        """COMPLETED; COMPLETED_WITH_ERRORS: some were not published; FAILED: the run was cut short."""
        if self._run.status != "SUCCEEDED":
            return "FAILED"
        errors = sum(self.outcomes[name] for name in ("failed", "malformed", "refused"))
        return "COMPLETED_WITH_ERRORS" if errors else "COMPLETED"

    def facts(self) -> dict[str, str]:
        """Return the report, in the terms of an import job."""
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
    """Read the outcomes of a run that has ended."""
    return Report(run, results(machine, run.name))
