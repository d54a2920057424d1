"""Where a deployed stage is, read from the configuration of its function; in AWS or in the local cloud."""

from typing import NamedTuple

import boto3

from infra.ops.aws.account import account, reached
from infra.ops.aws.uploads import Buckets
from infra.ops.errors import OperatorError
from infra.ops.local.cloud import REGION, LocalCloudError
from infra.ops.stage import APPLICATION, Stage
from infra.ops.tools.chalice import is_local


class NotDeployedError(OperatorError):
    """The stage has no function; says what to do first."""


class Place(NamedTuple):
    """A deployed stage; `timeout` is the timeout of `data-processor`, in seconds."""

    stage: str
    region: str
    account: str
    function: str
    buckets: Buckets
    timeout: int
    reached: dict[str, str]
    """Account, region and configured endpoints, to be shown."""

    @property
    def failure_queue(self) -> str:
        """Name of the failure queue."""
        return f"{self.function}-failures"


def locate(name: str) -> Place:
    """Find a stage by the name of its function; raises OperatorError."""
    if name == "local":
        if not is_local():
            raise LocalCloudError("Which local cloud? Paste what `make up` prints, then try again.")
        region, where = REGION, {"account": account(REGION), "region": REGION}
    else:
        stage = Stage(name)
        region, where = stage.region, reached(stage)
        where.pop("region of the state")
    return _read(name, region, where)


def _read(name: str, region: str, where: dict[str, str]) -> Place:
    function = f"{APPLICATION}-{name}-data-processor"
    client = boto3.client("lambda", region_name=region)
    try:
        found = client.get_function_configuration(FunctionName=function)
    except client.exceptions.ResourceNotFoundException:
        raise NotDeployedError(
            f"The stage {name} is not deployed: there is no function {function} in {region}. "
            f"First `make deploy STAGE={name}`."
        ) from None
    variables = found["Environment"]["Variables"]
    buckets = Buckets(*(variables[f"{use.upper()}_BUCKET"] for use in Buckets._fields))
    return Place(name, region, where["account"], function, buckets, found["Timeout"], where)
