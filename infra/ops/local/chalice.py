"""Chalice's own command line, for the local cloud: `python -m infra.ops.local.chalice deploy --stage local`.

Two steps differ from Chalice's own:

- MiniStack ignores the body of ImportRestApi and has no PutRestApi. So this module builds the REST API from
  Chalice's Swagger document with single calls.
- The package of the stage `local` has wheels for this machine, because an ARM laptop or a Mac cannot run
  Lambda's.

Everything else (functions, roles, permissions, the bucket's notification) is done by Chalice.
"""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
from chalice.awsclient import TypedAWSClient
from chalice.cli import main
from chalice.deploy.packager import DependencyBuilder

type Client = Any  # a boto3 client
type Swagger = dict[str, Any]


def import_rest_api(_: TypedAWSClient, swagger_document: Swagger, endpoint_type: str) -> str:
    """Make a REST API from `swagger_document`; returns its id."""
    client: Client = boto3.client("apigateway")
    api = client.create_rest_api(
        name=swagger_document["info"]["title"],
        binaryMediaTypes=swagger_document["x-amazon-apigateway-binary-media-types"],
        endpointConfiguration={"types": [endpoint_type]},
    )
    _build(client, api["id"], swagger_document)
    return str(api["id"])


def update_api_from_swagger(_: TypedAWSClient, rest_api_id: str, swagger_document: Swagger) -> None:
    """Rebuild a REST API from `swagger_document`."""
    client: Client = boto3.client("apigateway")
    for path, resource in _resources(client, rest_api_id).items():
        if path.count("/") == 1 and path != "/":  # deletes the resources below it, too
            client.delete_resource(restApiId=rest_api_id, resourceId=resource)
    _build(client, rest_api_id, swagger_document)


def _build(client: Client, api: str, swagger: Swagger) -> None:
    for path, methods in swagger["paths"].items():
        resource = _make_resource(client, api, path)
        for verb, method in methods.items():
            _put_method(
                client, {"restApiId": api, "resourceId": resource, "httpMethod": verb.upper()}, method
            )


def _make_resource(client: Client, api: str, path: str) -> str:
    parent, _, part = path.rpartition("/")
    known = _resources(client, api)
    if path in known:
        return known[path]
    above = known["/"] if not parent else _make_resource(client, api, parent)
    return str(client.create_resource(restApiId=api, parentId=above, pathPart=part)["id"])


def _resources(client: Client, api: str) -> dict[str, str]:
    return {item["path"]: item["id"] for item in client.get_resources(restApiId=api)["items"]}


def _put_method(client: Client, address: dict[str, str], method: Swagger) -> None:
    signed = "AWS_IAM" if method.get("security") else "NONE"
    client.put_method(**address, authorizationType=signed)
    integration = method["x-amazon-apigateway-integration"]
    client.put_integration(
        **address,
        type=integration["type"].upper(),
        integrationHttpMethod=integration["httpMethod"],
        uri=integration["uri"],
    )


def wheels_for(stage: str) -> AbstractContextManager[object]:
    """Make Chalice package wheels for this machine if the stage is `local`, else for Lambda."""
    if stage != "local":
        return nullcontext()
    # pip downloads wheels for this machine, so all of them are compatible.
    return patch.object(DependencyBuilder, "_is_compatible_platform_tag", lambda *_: True)


def _short_sleep(seconds: float) -> None:
    # botocore's waiters poll every five seconds; the local cloud is ready much sooner.
    time.sleep(min(seconds, 0.25))


if __name__ == "__main__":
    with (
        wheels_for(sys.argv[sys.argv.index("--stage") + 1]),
        patch.object(TypedAWSClient, "import_rest_api", import_rest_api),
        patch.object(TypedAWSClient, "update_api_from_swagger", update_api_from_swagger),
        patch("botocore.waiter.time", SimpleNamespace(sleep=_short_sleep)),
    ):
        sys.exit(main())
