"""The results of a replay, read as a stream, batch by batch.

Step Functions writes them when a run ends. `results/<run>/<id>/manifest.json` names files of JSON Lines, with
one line for each batch: its input and its output
(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html).
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.state_machine import StateMachine


class Result(NamedTuple):
    """The keys of a batch, and an outcome for each; `outcomes` is None if the function did not answer."""

    keys: list[str]
    outcomes: list[dict[str, Any]] | None

    @property
    def failed(self) -> list[str]:
        """Keys that failed; a retry may succeed."""
        if self.outcomes is None:
            return self.keys
        pairs = zip(self.keys, self.outcomes, strict=True)
        return [key for key, outcome in pairs if outcome["outcome"] == "failed"]


def results(machine: StateMachine, run: str) -> Iterator[Result]:
    """Yield the results of a run that has ended."""
    s3 = boto3.client("s3", region_name=machine.client.meta.region_name)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=machine.bucket, Prefix=f"results/{run}/")
    written = [item["Key"] for page in pages for item in page.get("Contents", [])]
    manifests = [key for key in written if key.endswith("/manifest.json")]
    lines = _written(s3, machine.bucket, manifests) if manifests else _executions(machine, run)
    yield from map(_result, lines)


def _written(s3: Any, bucket: str, manifests: Iterable[str]) -> Iterator[dict[str, Any]]:
    for key in manifests:
        manifest = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
        for files in manifest["ResultFiles"].values():
            for file in files:
                body = s3.get_object(Bucket=bucket, Key=file["Key"])["Body"]
                yield from (json.loads(line) for line in body.iter_lines())


def _executions(machine: StateMachine, run: str) -> Iterator[dict[str, Any]]:
    # A stopped run may have no manifest, and the local cloud never writes one. Both list the executions.
    pages = machine.client.get_paginator("list_executions").paginate
    for map_run in machine.map_runs(run):
        for page in pages(mapRunArn=map_run):
            for child in page["executions"]:
                found = machine.client.describe_execution(executionArn=child["executionArn"])
                yield {"Input": found["input"], "Output": found.get("output")}


def _result(line: dict[str, Any]) -> Result:
    given = json.loads(line["Input"])
    keys = [item["Key"] for item in given.get("Items", [given])]
    output = line.get("Output")
    return Result(keys, json.loads(output)["outcomes"] if output else None)
