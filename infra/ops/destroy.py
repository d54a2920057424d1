"""`destroy`: a stage back to nothing, in the opposite order of `deploy`."""

from typing import Any

import boto3

from infra.ops import deployed
from infra.ops.deploy import chalice
from infra.ops.progress import Step
from infra.ops.roots import Bootstrap, Foundation, Operations, state_bucket, state_bucket_exists
from infra.ops.stage import Stage


class NotEmptyError(Exception):
    """A bucket holds objects, and nobody has said that they may go."""


def destroy(stage: Stage, step: Step, *, delete_data: bool, last: bool) -> None:
    """Remove a stage; with `last`, the account's state bucket too.

    Raises NotEmptyError, before anything is removed, if there is data and nobody has said to delete it.
    """
    bucket = state_bucket(stage)
    if state_bucket_exists(stage, bucket):
        _destroy_stage(stage, bucket, step, delete_data=delete_data)
    if last:
        step("State bucket: terraform destroy in infra/bootstrap")
        Bootstrap(stage, bucket).destroy()


def _destroy_stage(stage: Stage, bucket: str, step: Step, *, delete_data: bool) -> None:
    step("Looking at what is there")
    foundation = Foundation(stage, bucket)
    outputs = foundation.outputs()
    if not outputs:
        return
    if not delete_data:
        _refuse_data(stage, outputs)
    deployed.fetch(stage, bucket)
    step("Alarms, throttle, failure destination: terraform destroy in infra/operations")
    Operations(stage, bucket, outputs).destroy()
    step(f"Functions and API: chalice delete --stage {stage.name}")
    chalice(stage, "delete")
    deployed.forget(stage, bucket)
    step("Buckets, roles, logs: terraform destroy in infra")
    if delete_data:
        foundation.apply("-var=force_destroy=true")
    foundation.destroy()


def _refuse_data(stage: Stage, outputs: dict[str, Any]) -> None:
    s3 = boto3.client("s3", region_name=stage.region)
    names = [outputs[f"{name}_data_bucket_name"] for name in ("raw", "processed", "rejected")]
    full = [name for name in names if _holds_anything(s3, name)]
    if full:
        raise NotEmptyError(
            f"{' and '.join(full)} hold objects or versions of them; nothing was removed. "
            "Empty them, or say --delete-data to have patients' data deleted for good."
        )


def _holds_anything(s3: Any, bucket: str) -> bool:
    try:
        listing = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    except s3.exceptions.NoSuchBucket:  # removed by an earlier try that was cut short
        return False
    return bool(listing.get("Versions") or listing.get("DeleteMarkers"))
