"""The stage `local`: the application, deployed by Chalice into the local cloud."""

import json
import shutil
import sys
from pathlib import Path

import boto3

from infra.ops.aws.uploads import Buckets
from infra.ops.local import cloud, queue
from infra.ops.local.cloud import LOCAL, ROOT
from infra.ops.stage import APPLICATION
from infra.ops.tools.bytecode import add_bytecode
from infra.ops.tools.files import replace_bytes
from infra.ops.tools.run import run

FUNCTION = f"{APPLICATION}-local-data-processor"
OPERATIONS_BUCKET = "ikerian-local-operations"
PACKAGES = LOCAL / "deployments"


def environment() -> dict[str, str]:
    """Read the environment of the stage's functions from its configuration."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    return {**config["environment_variables"], **config["stages"]["local"]["environment_variables"]}


def buckets() -> Buckets:
    """Return the names of the stage's buckets."""
    names = environment()
    return Buckets(names["RAW_BUCKET"], names["PROCESSED_BUCKET"], names["REJECTED_BUCKET"])


def make_buckets() -> None:
    """Make the stage's buckets; versioned, as in Terraform."""
    s3 = boto3.client("s3")
    for bucket in buckets():
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.create_bucket(Bucket=OPERATIONS_BUCKET)


def deploy(folder: Path, *, ingest: str = "direct") -> str:
    """Run `chalice deploy --stage local` on a copy of the application in `folder`; returns the API's URL.

    Chalice records what it deployed beside the application, and every local cloud starts empty: hence the
    copy. `ingest` is "direct" or "queue", as in infra/variables.tf.
    """
    project = _copy(folder / "project")
    if ingest == "queue":
        _configure(project, UPLOAD_QUEUE_ARN=queue.make(FUNCTION, buckets().raw))
    chalice = [sys.executable, "-m", "infra.ops.local.chalice", "--project-dir", str(project)]
    run([*chalice, "deploy", "--stage", "local"])
    add_failure_queue()
    if ingest == "queue":
        queue.connect(FUNCTION)
    _copy_packages(project / ".chalice" / "deployments", PACKAGES)
    _make_state_machine()
    return process_url()


def _make_state_machine() -> None:
    """Make the state machine of replays from the definition that Terraform uses."""
    function = boto3.client("lambda").get_function_configuration(FunctionName=FUNCTION)
    names = {
        "${function_arn}": function["FunctionArn"],
        "${operations_bucket}": OPERATIONS_BUCKET,
        "${raw_bucket}": buckets().raw,
        # MiniStack does not support the path here, and would start 64 processes at once.
        '"MaxConcurrencyPath": "$.max_concurrency"': '"MaxConcurrency": 4',
    }
    definition = (ROOT / "infra" / "replay.asl.json").read_text()
    for name, value in names.items():
        definition = definition.replace(name, value)
    # MiniStack does not check the permissions of the role.
    boto3.client("stepfunctions").create_state_machine(
        name=f"{APPLICATION}-local-replay", definition=definition, roleArn=function["Role"]
    )


def add_failure_queue() -> None:
    """Make the failure queue and send failed events to it, as Terraform does."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName=f"{FUNCTION}-failures")["QueueUrl"]
    about = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    boto3.client("lambda").put_function_event_invoke_config(
        FunctionName=FUNCTION,
        MaximumRetryAttempts=2,
        DestinationConfig={"OnFailure": {"Destination": about["QueueArn"]}},
    )


def process_url() -> str:
    """Return the URL of the stage's `POST /process`."""
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


def _configure(project: Path, **variables: str) -> None:
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    config["stages"]["local"]["environment_variables"] |= variables
    path.write_text(json.dumps(config))


def _copy_packages(source: Path, target: Path) -> None:
    # Chalice names a package by a digest of its content, so it reuses the package of the same code.
    for package in source.glob("*.zip"):
        replace_bytes(target / package.name, package.read_bytes())
