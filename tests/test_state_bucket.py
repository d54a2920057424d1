"""The state bucket is never read or written if its name belongs to another account."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.ops.aws import deployed
from infra.ops.aws.state import state_s3
from infra.ops.local.cloud import REGION
from infra.ops.stage import Stage
from infra.ops.tools.roots import Foundation, state_bucket, state_bucket_exists
from infra.ops.tools.run import ToolError
from tests.account import denied
from tests.deployment import Deployment

ANOTHER_ACCOUNT: Any = {"TagSet": [{"Key": "belongs-to", "Value": "999999999999"}]}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    file = tmp_path / "local.json"
    file.write_text("{}")
    here = SimpleNamespace(
        name="local", region=REGION, state_region=REGION, deployed=file, backend=file, variables=file
    )
    return cast("Stage", here)


@pytest.fixture
def taken(deployment: Deployment, stage: Stage) -> Iterator[str]:
    bucket = state_bucket(stage)
    deployment.s3.create_bucket(Bucket=bucket)
    assert state_bucket_exists(stage, bucket)
    deployment.s3.put_bucket_tagging(Bucket=bucket, Tagging=ANOTHER_ACCOUNT)
    yield bucket
    deployment.s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("call", [deployed.fetch, deployed.save, deployed.delete])
def test_the_file_of_chalice_is_not_stored_in_another_accounts_bucket(
    call: Callable[[Stage, str], None], stage: Stage, taken: str
) -> None:
    assert denied(call, stage=stage, bucket=taken)


def test_a_state_is_not_read_from_another_accounts_bucket(stage: Stage, taken: str) -> None:
    assert denied(state_s3(stage).list_objects_v2, Bucket=taken)


def test_terraform_does_not_use_another_accounts_bucket(stage: Stage, taken: str) -> None:
    with pytest.raises(ToolError, match="not this account's bucket"):
        Foundation(stage, taken)
