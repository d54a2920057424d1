"""The operator's commands, run in this process on the deployed application."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import boto3
from click.testing import CliRunner

from infra.ops.__main__ import ops as group
from infra.ops.aws import failures
from infra.ops.aws.queues import depth
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import ROOT
from infra.ops.screen.progress import console
from tests.deployment import FUNCTION, WITHIN, Deployment
from tests.function_code import packed, running

WIDTH = 80
STAGES = sorted(path.stem for path in (ROOT / "infra" / "env").glob("*.tfvars"))


class Done(NamedTuple):
    """Exit code and output of a command."""

    code: int
    printed: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The output as lines of JSON; fails if there is anything else."""
        return [json.loads(line) for line in self.printed.splitlines()]

    @property
    def findings(self) -> dict[str, dict[str, Any]]:
        """The findings of `status`, by name."""
        return {line["finding"]: line for line in self.lines if "finding" in line}


def ops(command: str, *arguments: str, stage: str = "local") -> Done:
    """Run a command for a stage on a screen of 80 columns."""
    console.width = WIDTH
    try:
        with patch.object(failures, "WAIT", 0):  # the local cloud has only one server
            result = CliRunner().invoke(group.commands[command], [*arguments, f"--stage={stage}"])
    finally:
        console.quiet = False  # undoes --json
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout)


@contextmanager
def failing_at_once(deployment: Deployment) -> Iterator[str]:
    """Disable retries, so that failures reach the failure queue at once; yields the empty queue's URL."""
    local_stage.add_failure_queue()
    functions, sqs = deployment.functions, boto3.client("sqs")
    before = functions.get_function_event_invoke_config(FunctionName=FUNCTION)
    functions.put_function_event_invoke_config(
        FunctionName=FUNCTION, MaximumRetryAttempts=0, DestinationConfig=before["DestinationConfig"]
    )
    url = sqs.get_queue_url(QueueName=f"{FUNCTION}-failures")["QueueUrl"]
    sqs.purge_queue(QueueUrl=url)
    yield url
    sqs.purge_queue(QueueUrl=url)
    local_stage.add_failure_queue()


@contextmanager
def answering(deployment: Deployment, code: str) -> Iterator[None]:
    """Replace the body of data-processor by a line of code."""
    source = f"def data_processor(event, context):\n    {code}\n"
    with running(deployment, FUNCTION, packed({"app.py": source})):
        yield


def left(queue: str) -> int:
    """Count the messages in a queue, hidden ones too."""
    return depth(boto3.client("sqs"), queue)


def await_failures(queue: str, number: int) -> None:
    """Wait until a queue has `number` messages."""
    deadline = time.monotonic() + WITHIN
    while left(queue) < number:
        assert time.monotonic() < deadline
        time.sleep(0.1)
