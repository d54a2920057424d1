"""`deploy`: from nothing to a working stage. Run again, it goes on where it stopped, or changes nothing."""

import json
import os
import sys
import uuid
from typing import Any

import boto3

from infra.ops import deployed
from infra.ops.bytecode import add_bytecode
from infra.ops.cloud import ROOT
from infra.ops.posting import post
from infra.ops.progress import Step
from infra.ops.roots import Bootstrap, Foundation, Operations, state_bucket, state_bucket_exists
from infra.ops.stage import Stage
from infra.ops.tools import run
from infra.ops.uploads import Buckets, upload

SMOKE_PREFIX = "smoke-test/"
PUBLISHED_WITHIN = 120  # seconds
FORBIDDEN = 403


class SmokeTestError(Exception):
    """The deployed stage does not do what it should; says what."""


def deploy(stage: Stage, step: Step) -> str:
    """Deploy a stage and try it; returns the URL of `POST /process`."""
    step("State bucket: terraform apply in infra/bootstrap")
    bucket = _state_bucket(stage)
    step("Buckets, roles, logs: terraform apply in infra")
    foundation = Foundation(stage, bucket).apply()
    stage.render(foundation)
    step(f"Functions and API: chalice deploy --stage {stage.name}")
    deployed.fetch(stage, bucket)
    add_bytecode(ROOT)
    chalice(stage, "deploy")
    deployed.keep(stage, bucket)
    step("Alarms, throttle, failure destination: terraform apply in infra/operations")
    Operations(stage, bucket, foundation).apply()
    step("Smoke test: upload a scan, read what is published, post without a signature")
    url = process_url(stage)
    _smoke_test(stage, foundation, url)
    return url


def _state_bucket(stage: Stage) -> str:
    bucket = state_bucket(stage)
    bootstrap = Bootstrap(stage, bucket)
    if bootstrap.is_ours() or not state_bucket_exists(stage, bucket):
        bootstrap.apply()
    return bucket


def chalice(stage: Stage, verb: str) -> None:
    """Run Chalice's own command line for a stage."""
    region = {"AWS_REGION": stage.region, "AWS_DEFAULT_REGION": stage.region}
    module = "infra.ops.local_chalice" if _is_local() else "chalice.cli"
    run([sys.executable, "-m", module, verb, "--stage", stage.name], env={**os.environ, **region})


def process_url(stage: Stage) -> str:
    """Say where the stage's `POST /process` is."""
    api = deployed.rest_api_id(stage)
    if _is_local():
        # The address that Chalice prints is AWS's; this is where MiniStack serves the same API.
        return f"{os.environ['AWS_ENDPOINT_URL']}/restapis/{api}/api/_user_request_/process"
    return f"https://{api}.execute-api.{stage.region}.amazonaws.com/api/process"


def _is_local() -> bool:
    return os.environ.get("AWS_ENDPOINT_URL", "").partition("://")[2].startswith("127.0.0.1:")


def _smoke_test(stage: Stage, foundation: dict[str, Any], url: str) -> None:
    buckets = Buckets(*(foundation[f"{name}_data_bucket_name"] for name in ("raw", "processed", "rejected")))
    key = f"{SMOKE_PREFIX}{uuid.uuid4()}.json"
    scan = [{"patient_id": "synthetic", "patient_name": "Nobody"}]
    try:
        outcome = upload(buckets, key, json.dumps(scan).encode(), seconds=PUBLISHED_WITHIN)
    finally:
        _remove(stage, buckets, key)
    if (outcome.extracted, outcome.rejected) != (1, 0):
        raise SmokeTestError(f"A synthetic scan was not published but {outcome}")
    answer = post(url, b"[]", {"Content-Type": "application/json"}, region=None)
    if answer.status != FORBIDDEN:
        raise SmokeTestError(f"A request without a signature was answered with {answer.status}, not 403")


def _remove(stage: Stage, buckets: Buckets, key: str) -> None:
    s3 = boto3.client("s3", region_name=stage.region)
    for bucket in buckets:
        listing = s3.list_object_versions(Bucket=bucket, Prefix=key)
        for version in listing.get("Versions", []):
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
