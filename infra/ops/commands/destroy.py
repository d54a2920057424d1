"""`destroy`: remove a stage, in the reverse order of `deploy`. It can be run again until it succeeds."""

import json
from typing import Any

import boto3

from infra.ops.aws import deployed
from infra.ops.aws.state import state_s3
from infra.ops.commands.ingest import leave_queue
from infra.ops.errors import OperatorError
from infra.ops.screen.progress import Step
from infra.ops.stage import Stage
from infra.ops.tools.chalice import chalice
from infra.ops.tools.roots import Bootstrap, Foundation, Operations, state_bucket, state_bucket_exists


class InUseError(OperatorError):
    """Something would be lost without permission. The message says what; nothing was removed."""


def destroy(stage: Stage, step: Step, *, delete_data: bool, last: bool) -> None:
    """Remove a stage and, with `last`, the account's state bucket. Raises InUseError."""
    bucket = state_bucket(stage)
    if not state_bucket_exists(stage, bucket):
        return
    step("Reading the Terraform state")
    if last:
        _refuse_other_stages(stage, bucket)
    foundation = Foundation(stage, bucket)
    if not foundation.is_gone():
        _destroy_stage(stage, bucket, foundation, step, delete_data=delete_data)
    if last:
        step("State bucket: terraform destroy in infra/bootstrap")
        Bootstrap(stage, bucket).destroy()


def _destroy_stage(
    stage: Stage, bucket: str, foundation: Foundation, step: Step, *, delete_data: bool
) -> None:
    leave_queue(stage, bucket, foundation, step)
    # An earlier destroy may have been cut short. What follows needs all outputs, so make them again.
    outputs = foundation.apply()
    if not delete_data:
        _refuse_data(stage, outputs)
    step("Alarms, throttle, failure destination: terraform destroy in infra/operations")
    Operations(stage, bucket, outputs).destroy()
    step(f"Functions and API: chalice delete --stage {stage.name}")
    deployed.rebuild(stage, outputs["raw_data_bucket_name"])
    stage.render(outputs)
    chalice(stage, "delete")
    deployed.delete(stage, bucket)
    step("Buckets, roles, logs: terraform destroy in infra")
    foundation.destroy(delete_data=delete_data)


def _refuse_data(stage: Stage, outputs: dict[str, Any]) -> None:
    s3 = boto3.client("s3", region_name=stage.region)
    names = [outputs[f"{name}_data_bucket_name"] for name in ("raw", "processed", "rejected")]
    names.append(outputs["operations_bucket_name"])
    full = [name for name in names if _holds_anything(s3, name)]
    if full:
        raise InUseError(
            f"{' and '.join(full)} hold objects or versions of them; nothing was removed. "
            "Empty them, or add --delete-data to delete patients' data permanently."
        )


def _holds_anything(s3: Any, bucket: str) -> bool:
    listing = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    return bool(listing.get("Versions") or listing.get("DeleteMarkers"))


def _refuse_other_stages(stage: Stage, bucket: str) -> None:
    s3 = state_s3(stage)
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    others = [key for key in keys if key.endswith(".tfstate") and not key.startswith(f"{stage.name}/")]
    in_use = {key.partition("/")[0] for key in others if _has_resources(s3, bucket, key)}
    if in_use:
        raise InUseError(f"{stage.name} is not the last stage: there is {' and '.join(sorted(in_use))}.")


def _has_resources(s3: Any, bucket: str, key: str) -> bool:
    return bool(json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["resources"])
