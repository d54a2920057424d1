"""A stage's files: what is read from them, and what `deploy` writes into .chalice/config.json."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from chalice.config import Config

from infra.ops import stage
from infra.ops.aws import deployed
from infra.ops.local.cloud import REGION, ROOT
from infra.ops.stage import Stage, UnknownStageError
from tests.deployment import Deployment
from tests.operating import STAGES

FOUNDATION = {
    "api_role_arn": "arn:aws:iam::1:role/api",
    "data_processor_role_arn": "arn:aws:iam::1:role/processor",
    "raw_data_bucket_name": "raw",
    "processed_data_bucket_name": "processed",
    "rejected_data_bucket_name": "rejected",
    "security_group_ids": [],
    "subnet_ids": [],
    "lambda_architecture": "x86_64",
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.json"
    shutil.copy(ROOT / ".chalice" / "config.json", path)
    monkeypatch.setattr(stage, "CONFIG", path)
    return path


def settings(config: Path, name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(config.read_text())["stages"][name])


def test_a_rendered_stage_has_everything_that_chalice_needs(config: Path) -> None:
    local = settings(config, "local")

    Stage("dev").render(FOUNDATION)

    dev = settings(config, "dev")
    assert dev["environment_variables"] == {
        "RAW_BUCKET": "raw",
        "PROCESSED_BUCKET": "processed",
        "REJECTED_BUCKET": "rejected",
        "STAGE": "dev",
        "STAGE_REGION": Stage("dev").region,
    }
    assert dev["manage_iam_role"] is False
    assert dev["iam_role_arn"] == FOUNDATION["api_role_arn"]
    assert dev["lambda_functions"]["data-processor"]["iam_role_arn"] == FOUNDATION["data_processor_role_arn"]
    assert settings(config, "local") == local


def test_environment_variables_set_by_hand_stay(config: Path) -> None:
    changed = json.loads(config.read_text())
    changed["stages"]["dev"]["environment_variables"] = {"LOG_OBJECT_KEYS": "true"}
    config.write_text(json.dumps(changed))

    Stage("dev").render(FOUNDATION)

    assert settings(config, "dev")["environment_variables"]["LOG_OBJECT_KEYS"] == "true"


def test_a_stage_in_a_vpc_is_rendered_with_its_network(config: Path) -> None:
    network = {"security_group_ids": ["sg-1"], "subnet_ids": ["subnet-1", "subnet-2"]}

    Stage("dev").render(FOUNDATION | network)
    assert settings(config, "dev").items() >= network.items()

    Stage("dev").render(FOUNDATION)
    assert not settings(config, "dev").keys() & network.keys()


def test_a_concurrency_limit_is_rendered_and_removed_again(config: Path) -> None:
    Stage("dev").render(FOUNDATION | {"reserved_concurrency": 9})
    assert settings(config, "dev")["lambda_functions"]["data-processor"]["reserved_concurrency"] == 9
    assert "reserved_concurrency" not in settings(config, "dev")["lambda_functions"]["api_handler"]

    Stage("dev").render(FOUNDATION)  # Terraform leaves out an output that is null
    assert "reserved_concurrency" not in settings(config, "dev")["lambda_functions"]["data-processor"]


def test_an_upload_queue_is_rendered_and_removed_again(config: Path) -> None:
    Stage("dev").render(FOUNDATION | {"upload_queue_arn": "arn:aws:sqs:eu-central-1:1:uploads"})
    assert settings(config, "dev")["environment_variables"]["UPLOAD_QUEUE_ARN"].endswith(":uploads")

    Stage("dev").render(FOUNDATION | {"upload_queue_arn": ""})
    assert "UPLOAD_QUEUE_ARN" not in settings(config, "dev")["environment_variables"]


def test_the_processor_architecture_is_rendered_for_both_functions(config: Path) -> None:
    Stage("dev").render(FOUNDATION | {"lambda_architecture": "arm64"})

    rendered = json.loads(config.read_text())
    for function in ("data-processor", "api_handler"):
        chalice = Config("dev", function, config_from_disk=rendered)
        assert chalice.lambda_architecture == "arm64"


def test_the_error_of_an_unknown_stage_names_the_files_that_it_needs() -> None:
    with pytest.raises(UnknownStageError) as error:
        Stage("nowhere")

    for needed in ("infra/env/nowhere.tfvars", "infra/env/nowhere.s3.tfbackend", ".chalice/config.json"):
        assert needed in str(error.value)


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_the_error_of_a_missing_or_unknown_stage_lists_the_stages(name: str) -> None:
    with pytest.raises(UnknownStageError, match=rf"[Tt]here are: {', '.join(STAGES)}\."):
        Stage(name)


def test_an_api_missing_in_chalices_file_is_found_by_the_function_it_calls(
    deployment: Deployment, tmp_path: Path
) -> None:
    here = SimpleNamespace(
        name="local", region=REGION, state_region=REGION, deployed=tmp_path / "deployed" / "local.json"
    )

    deployed.fetch(cast("Stage", here), deployment.raw)

    assert f"/{deployed.rest_api_id(cast('Stage', here))}/" in deployment.url


def test_the_api_of_another_stage_is_not_taken(deployment: Deployment, tmp_path: Path) -> None:
    elsewhere = SimpleNamespace(
        name="loc", region=REGION, state_region=REGION, deployed=tmp_path / "deployed" / "loc.json"
    )

    deployed.fetch(cast("Stage", elsewhere), deployment.raw)

    assert deployed.rest_api_id(cast("Stage", elsewhere)) is None
