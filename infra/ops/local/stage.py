"""The stage `local`: the same application, deployed by Chalice into the local cloud."""

import json
import shutil
import sys
from pathlib import Path

import boto3

from infra.ops.aws.uploads import Buckets
from infra.ops.local import cloud
from infra.ops.local.cloud import LOCAL, ROOT
from infra.ops.stage import APPLICATION
from infra.ops.tools.bytecode import add_bytecode
from infra.ops.tools.files import replace_bytes
from infra.ops.tools.run import run

PACKAGES = LOCAL / "deployments"
FUNCTION = f"{APPLICATION}-local-data-processor"


def environment() -> dict[str, str]:
    """Read the environment of the stage's functions from its configuration."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    variables: dict[str, str] = config["stages"]["local"]["environment_variables"]
    return variables


def buckets() -> Buckets:
    """Name the stage's buckets."""
    names = environment()
    return Buckets(names["RAW_BUCKET"], names["PROCESSED_BUCKET"], names["REJECTED_BUCKET"])


def make_buckets() -> None:
    """Make the stage's buckets, versioned as Terraform makes those of the other stages."""
    s3 = boto3.client("s3")
    for bucket in buckets():
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def deploy(folder: Path) -> str:
    """Run `chalice deploy --stage local` on a copy of the application in `folder`; returns the API's URL.

    A copy, because Chalice keeps what it deployed beside the application, and every local cloud starts empty.
    """
    project = _copy(folder / "project")
    chalice = [sys.executable, "-m", "infra.ops.local.chalice", "--project-dir", str(project)]
    run([*chalice, "deploy", "--stage", "local"])
    add_failure_queue()
    _copy_packages(project / ".chalice" / "deployments", PACKAGES)
    return process_url()


def add_failure_queue() -> None:
    """Let events that failed for good wait in a queue, as Terraform has it for the other stages."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName=f"{FUNCTION}-failures")["QueueUrl"]
    about = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    boto3.client("lambda").put_function_event_invoke_config(
        FunctionName=FUNCTION,
        MaximumRetryAttempts=2,
        DestinationConfig={"OnFailure": {"Destination": about["QueueArn"]}},
    )


def process_url() -> str:
    """Say where the stage's `POST /process` is."""
    apis = boto3.client("apigateway").get_rest_apis()["items"]
    return cloud.process_url(next(one["id"] for one in apis if one["name"] == APPLICATION))


def _copy(project: Path) -> Path:
    (project / ".chalice").mkdir(parents=True)
    for name in ("app.py", "requirements.txt", ".chalice/config.json", ".chalice/policy-local.json"):
        shutil.copy(ROOT / name, project / name)
    bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "chalicelib", project / "chalicelib", ignore=bytecode)
    _copy_packages(PACKAGES, project / ".chalice" / "deployments")
    add_bytecode(project)
    return project


def _copy_packages(source: Path, target: Path) -> None:
    # Chalice names a package by what is in it, so the next deployment of the same code finds it made.
    for package in source.glob("*.zip"):
        replace_bytes(target / package.name, package.read_bytes())
