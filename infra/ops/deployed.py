"""What Chalice has deployed of a stage: the file by which alone it finds its REST API again.

It is kept beside the Terraform state, so that every machine that deploys sees the same API.
"""

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.ops.stage import APPLICATION, Stage


def key(stage: Stage) -> str:
    """Name the object that keeps the file."""
    return f"{stage.name}/chalice.json"


def fetch(stage: Stage, bucket: str) -> None:
    """Have the file that was kept last; without one, the API of a deployment that was cut short."""
    try:
        kept = _s3(stage).get_object(Bucket=bucket, Key=key(stage))["Body"].read().decode()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        kept = _adopted(stage)
    stage.deployed.parent.mkdir(exist_ok=True)
    stage.deployed.write_text(kept)


def keep(stage: Stage, bucket: str) -> None:
    """Keep the file."""
    _s3(stage).put_object(Bucket=bucket, Key=key(stage), Body=stage.deployed.read_bytes())


def forget(stage: Stage, bucket: str) -> None:
    """Remove the file, here and there."""
    _s3(stage).delete_object(Bucket=bucket, Key=key(stage))
    stage.deployed.unlink(missing_ok=True)


def rest_api_id(stage: Stage) -> str | None:
    """Read the id of the deployed REST API; None if there is none."""
    if not stage.deployed.exists():
        return None
    resources = json.loads(stage.deployed.read_text())["resources"]
    return next((item["rest_api_id"] for item in resources if item["resource_type"] == "rest_api"), None)


def _adopted(stage: Stage) -> str:
    # Chalice writes its file at the very end. Killed before that, it leaves an API that it would not know.
    client = boto3.client("apigateway", region_name=stage.region)
    pages = client.get_paginator("get_rest_apis").paginate()
    # Every stage's API has the application's name; whose it is shows in what it calls.
    apis = [api["id"] for page in pages for api in page["items"] if api["name"] == APPLICATION]
    resources = [_resource(api) for api in apis if _calls(client, api, f"{APPLICATION}-{stage.name}")]
    return json.dumps({"resources": resources, "schema_version": "2.0", "backend": "api"})


def _calls(client: Any, api: str, function: str) -> bool:
    resources = client.get_resources(restApiId=api, embed=["methods"])["items"]
    methods = [method for resource in resources for method in resource.get("resourceMethods", {}).values()]
    uris = [method.get("methodIntegration", {}).get("uri", "") for method in methods]
    return any(f":function:{function}/" in uri for uri in uris)


def _resource(api: str) -> dict[str, str]:
    return {"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api, "rest_api_url": ""}


def _s3(stage: Stage) -> Any:
    return boto3.client("s3", region_name=stage.state_region)
