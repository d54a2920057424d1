"""`deploy`: from nothing to a working stage. Run again, it goes on where it stopped, or changes nothing."""

import time
import urllib.error
import uuid
from typing import Any

import boto3

from chalicelib.extraction import extract
from infra.ops.aws import deployed
from infra.ops.aws.posting import Answer, post
from infra.ops.aws.uploads import Buckets, upload
from infra.ops.local.cloud import ROOT
from infra.ops.screen.progress import Step
from infra.ops.stage import Stage
from infra.ops.tools.bytecode import add_bytecode
from infra.ops.tools.chalice import chalice, process_url
from infra.ops.tools.roots import Bootstrap, Foundation, Operations, state_bucket, state_bucket_exists

SAMPLE = ROOT / "samples" / "ikerian_sample.json"
SMOKE_PREFIX = "smoke-test/"
PUBLISHED_WITHIN = 120  # seconds
REACHED_WITHIN = 120  # seconds


class SmokeTestError(Exception):
    """The deployed stage does not do what it should; says what."""


def deploy(stage: Stage, step: Step) -> dict[str, str]:
    """Deploy a stage and try it; returns what its users want to know."""
    step("State bucket: terraform apply in infra/bootstrap")
    bucket = _state_bucket(stage)
    step("Buckets, roles, logs: terraform apply in infra")
    root = Foundation(stage, bucket)
    foundation = root.apply()
    stage.render(foundation)
    step(f"Functions and API: chalice deploy --stage {stage.name}")
    deployed.fetch(stage, bucket)
    add_bytecode(ROOT)
    chalice(stage, "deploy")
    deployed.keep(stage, bucket)
    step("Alarms, throttle, failure destination: terraform apply in infra/operations")
    changes = Operations(stage, bucket, foundation).apply()
    step("Smoke test: upload a scan, read what is published, post without a signature")
    url = process_url(stage)
    _smoke_test(stage, foundation, url)
    return {
        "upload to": f"s3://{foundation['raw_data_bucket_name']}",
        "published to": f"s3://{foundation['processed_data_bucket_name']}",
        "rejected to": f"s3://{foundation['rejected_data_bucket_name']}",
        "alarms ring": foundation["alarm_topic_arn"],
        "POST": url,
        "infra": root.changes,
        "infra/operations": changes,
    }


def bootstrap(stage: Stage, step: Step) -> dict[str, str]:
    """Make what a stage's account needs once; returns the roles in which GitHub Actions deploys, by stage."""
    step("State bucket, roles for GitHub: terraform apply in infra/bootstrap")
    roles: dict[str, str] = Bootstrap(stage, state_bucket(stage)).apply()["deployer_role_arns"]
    return roles


def plan(stage: Stage) -> str:
    """Say what `deploy` would change of the buckets, roles and logs of a stage that is deployed."""
    return Foundation(stage, state_bucket(stage)).plan()


def _state_bucket(stage: Stage) -> str:
    bucket = state_bucket(stage)
    bootstrap = Bootstrap(stage, bucket)
    if bootstrap.is_ours() or not state_bucket_exists(stage, bucket):
        bootstrap.apply()
    return bucket


def _smoke_test(stage: Stage, foundation: dict[str, Any], url: str) -> None:
    buckets = Buckets(*(foundation[f"{name}_data_bucket_name"] for name in ("raw", "processed", "rejected")))
    key = f"{SMOKE_PREFIX}{uuid.uuid4()}.json"
    scan = SAMPLE.read_bytes()
    expected = extract([scan], len, len)  # whatever the contract says of it
    try:
        outcome = upload(buckets, key, scan, seconds=PUBLISHED_WITHIN, region=stage.region)
    finally:
        _remove(stage, buckets, key)
    if (outcome.extracted, outcome.rejected) != (expected.extracted, expected.rejected):
        raise SmokeTestError(f"{SAMPLE.name} was not published but {outcome}")
    # The first says that there is such an API, the second that it is closed.
    for region, wanted in ((stage.region, 200), (None, 403)):
        answer = _patient_post(url, region)
        if answer.status != wanted:
            signed = "with your signature (execute-api:Invoke)" if region else "without a signature"
            raise SmokeTestError(f"A request {signed} was answered with {answer.status}, not {wanted}")


def _patient_post(url: str, region: str | None) -> Answer:
    """Post an empty document; wait for the name of an API that was made a moment ago."""
    deadline = time.monotonic() + REACHED_WITHIN
    while True:
        try:
            return post(url, b"[]", {"Content-Type": "application/json"}, region=region)
        except urllib.error.URLError as error:
            if time.monotonic() > deadline:
                raise SmokeTestError(f"{url} cannot be reached: {error.reason}") from None
            time.sleep(2)


def _remove(stage: Stage, buckets: Buckets, key: str) -> None:
    s3 = boto3.client("s3", region_name=stage.region)
    for bucket in buckets:
        listing = s3.list_object_versions(Bucket=bucket, Prefix=key)
        for version in listing.get("Versions", []):
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
