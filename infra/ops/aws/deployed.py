"""What Chalice has deployed of a stage: the file by which alone it finds its REST API again.

It is kept beside the Terraform state, so that every machine that deploys sees the same API.
"""

import json
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.ops.aws.state import state_s3
from infra.ops.stage import APPLICATION, Stage
from infra.ops.tools.files import replace_text

# Chalice's names, and the functions' endings.
HANDLERS = {"api_handler": "", "data-processor": "-data-processor"}


def key(stage: Stage) -> str:
    """Name the object that keeps the file."""
    return f"{stage.name}/chalice.json"


def fetch(stage: Stage, bucket: str) -> None:
    """Have the file that was kept last; without one, what a deployment that was cut short has left."""
    try:
        kept = state_s3(stage).get_object(Bucket=bucket, Key=key(stage))["Body"].read().decode()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        kept = _file(list(_apis(stage)))
    replace_text(stage.deployed, kept)


def survey(stage: Stage, raw_bucket: str) -> None:
    """Have a file of what is really there: all that `chalice delete` must remove, nothing that is gone."""
    found = dict(_functions(stage))
    resources = [*_apis(stage), *(_function(name, arn) for name, arn in found.items())]
    if "data-processor" in found:
        resources.append(_notification(raw_bucket, found["data-processor"]))
    replace_text(stage.deployed, _file(resources))


def keep(stage: Stage, bucket: str) -> None:
    """Keep the file."""
    state_s3(stage).put_object(Bucket=bucket, Key=key(stage), Body=stage.deployed.read_bytes())


def forget(stage: Stage, bucket: str) -> None:
    """Remove the file, here and there."""
    state_s3(stage).delete_object(Bucket=bucket, Key=key(stage))
    stage.deployed.unlink(missing_ok=True)


def rest_api_id(stage: Stage) -> str | None:
    """Read the id of the deployed REST API; None if there is none."""
    if not stage.deployed.exists():
        return None
    resources = json.loads(stage.deployed.read_text())["resources"]
    return next((item["rest_api_id"] for item in resources if item["resource_type"] == "rest_api"), None)


def _apis(stage: Stage) -> Iterator[dict[str, str]]:
    client = boto3.client("apigateway", region_name=stage.region)
    for page in client.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            # Every stage's API has the application's name; whose it is shows in what it calls.
            if api["name"] == APPLICATION and _calls(client, api["id"], f"{APPLICATION}-{stage.name}"):
                url = f"https://{api['id']}.execute-api.{stage.region}.amazonaws.com/api/"
                yield _resource("rest_api", "rest_api", rest_api_id=api["id"], rest_api_url=url)


def _calls(client: Any, api: str, function: str) -> bool:
    resources = client.get_resources(restApiId=api, embed=["methods"])["items"]
    methods = [method for resource in resources for method in resource.get("resourceMethods", {}).values()]
    uris = [method.get("methodIntegration", {}).get("uri", "") for method in methods]
    return any(f":function:{function}/" in uri for uri in uris)


def _functions(stage: Stage) -> Iterator[tuple[str, str]]:
    client = boto3.client("lambda", region_name=stage.region)
    for name, ending in HANDLERS.items():
        try:
            function = client.get_function_configuration(FunctionName=f"{APPLICATION}-{stage.name}{ending}")
        except client.exceptions.ResourceNotFoundException:
            continue
        yield name, function["FunctionArn"]


def _function(name: str, arn: str) -> dict[str, str]:
    return _resource(name, "lambda_function", lambda_arn=arn)


def _notification(bucket: str, arn: str) -> dict[str, str]:
    return _resource("data-processor-s3event", "s3_event", bucket=bucket, lambda_arn=arn)


def _resource(name: str, kind: str, **values: str) -> dict[str, str]:
    return {"name": name, "resource_type": kind, **values}


def _file(resources: list[dict[str, str]]) -> str:
    return json.dumps({"resources": resources, "schema_version": "2.0", "backend": "api"})
