"""Where a deployed stage is: what its function says about itself, in AWS and in the local cloud alike."""

from typing import NamedTuple

import boto3

from infra.ops.aws.account import account, reached
from infra.ops.aws.uploads import Buckets
from infra.ops.errors import OperatorError
from infra.ops.local.cloud import REGION, LocalCloudError
from infra.ops.stage import APPLICATION, Stage
from infra.ops.tools.chalice import is_local


class NotDeployedError(OperatorError):
    """There is no such function; says what to do first."""


class Place(NamedTuple):
    """A deployed stage; `timeout` is the function's, in seconds."""

    stage: str
    region: str
    account: str
    function: str
    buckets: Buckets
    timeout: int
    reached: dict[str, str]
    """Account, region and endpoints, to be told."""

    @property
    def failure_queue(self) -> str:
        """Name of the queue for uploads that failed for good."""
        return f"{self.function}-failures"


def locate(name: str) -> Place:
    """Ask the deployed function of a stage; raises OperatorError."""
    if name == "local":
        if not is_local():
            raise LocalCloudError("Which local cloud? Paste what `make up` prints, then try again.")
        region, where = REGION, {"account": account(REGION), "region": REGION}
    else:
        stage = Stage(name)
        region, where = stage.region, reached(stage)
        where.pop("region of the state")
    return _asked(name, region, where)


def _asked(name: str, region: str, where: dict[str, str]) -> Place:
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
