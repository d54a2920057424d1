"""The file in which Chalice records what it deployed for a stage.

Chalice finds the stage's REST API only by this file. A copy stands beside the Terraform state, so that every
machine that deploys updates the same API.
"""

import json
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.ops.aws.state import state_s3
from infra.ops.stage import APPLICATION, Stage
from infra.ops.tools.files import replace_text

# Chalice's name of each handler: the suffix of its function's name.
HANDLERS = {"api_handler": "", "data-processor": "-data-processor"}


def key(stage: Stage) -> str:
    """Return the key of the copy."""
    return f"{stage.name}/chalice.json"


def fetch(stage: Stage, bucket: str) -> None:
    """Download the file. If there is none, write one that names the API of an interrupted deployment."""
    try:
        text = state_s3(stage).get_object(Bucket=bucket, Key=key(stage))["Body"].read().decode()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        text = _file(list(_apis(stage)))
    replace_text(stage.deployed, text)


def rebuild(stage: Stage, raw_bucket: str) -> None:
    """Write the file from what exists in AWS, so that `chalice delete` removes exactly that."""
    found = dict(_functions(stage))
    resources = [*_apis(stage), *(_function(name, arn) for name, arn in found.items())]
    if "data-processor" in found:
        resources.append(_notification(raw_bucket, found["data-processor"]))
    replace_text(stage.deployed, _file(resources))


def save(stage: Stage, bucket: str) -> None:
    """Upload the file."""
    state_s3(stage).put_object(Bucket=bucket, Key=key(stage), Body=stage.deployed.read_bytes())


def delete(stage: Stage, bucket: str) -> None:
    """Delete the file and its copy."""
    state_s3(stage).delete_object(Bucket=bucket, Key=key(stage))
    stage.deployed.unlink(missing_ok=True)


def rest_api_id(stage: Stage) -> str | None:
    """Return the id of the deployed REST API; None if there is none."""
    if not stage.deployed.exists():
        return None
    resources = json.loads(stage.deployed.read_text())["resources"]
    return next((item["rest_api_id"] for item in resources if item["resource_type"] == "rest_api"), None)


def _apis(stage: Stage) -> Iterator[dict[str, str]]:
    client = boto3.client("apigateway", region_name=stage.region)
    for page in client.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            # The APIs of all stages have the same name. The function that an API calls tells its stage.
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
