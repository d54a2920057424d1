"""Chalice's command line for a stage, in AWS or in the local cloud."""

import os
import sys

from infra.ops.aws import deployed
from infra.ops.local import cloud
from infra.ops.stage import Stage
from infra.ops.tools.run import run

# Chalice of this Python's environment, whatever is on the PATH.
IN_AWS = ["-c", "import sys; from chalice.cli import main; sys.exit(main())"]
IN_THE_LOCAL_CLOUD = ["-m", "infra.ops.local.chalice"]


def chalice(stage: Stage, verb: str) -> None:
    """Run `chalice <verb> --stage <stage>`; raises ToolError."""
    region = {"AWS_REGION": stage.region, "AWS_DEFAULT_REGION": stage.region}
    run([*command(), verb, "--stage", stage.name], env={**os.environ, **region})


def command() -> list[str]:
    """Return the command line that starts Chalice."""
    return [sys.executable, *(IN_THE_LOCAL_CLOUD if is_local() else IN_AWS)]


def process_url(stage: Stage) -> str:
    """Return the URL of the stage's `POST /process`."""
    api = deployed.rest_api_id(stage)
    if is_local():
        return cloud.process_url(api)
    return f"https://{api}.execute-api.{stage.region}.amazonaws.com/api/process"


def is_local() -> bool:
    """Say whether the environment directs AWS clients to a local cloud."""
    return os.environ.get("AWS_ENDPOINT_URL", "").partition("://")[2].startswith("127.0.0.1:")
