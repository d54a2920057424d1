"""A stage: its settings files, and the names of what it owns in AWS."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.ops.errors import OperatorError
from infra.ops.local.cloud import ROOT
from infra.ops.tools.files import replace_text

ENV = ROOT / "infra" / "env"
CONFIG = ROOT / ".chalice" / "config.json"
APPLICATION = "ikerian-data-pipeline"


class UnknownStageError(OperatorError):
    """No stage is given, or files of it are missing. The message lists the stages and the missing files."""


class Stage:
    """The settings of a stage, read from its files. Raises UnknownStageError."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.variables, self.backend = _files(name)
        self.deployed = ROOT / ".chalice" / "deployed" / f"{name}.json"
        if missing := list(_missing(name)):
            raise UnknownStageError(_unknown(name, missing))

    @property
    def region(self) -> str:
        """AWS region of the stage."""
        return _setting(self.variables, "region")

    @property
    def state_region(self) -> str:
        """AWS region of the bucket with the stage's Terraform state."""
        return _setting(self.backend, "region")

    @property
    def data_processor(self) -> str:
        """Name of the function data-processor."""
        return f"{APPLICATION}-{self.name}-data-processor"

    @property
    def uses_queue(self) -> bool:
        """Whether uploads reach the function through a queue (`ingest = "queue"` in the stage's file)."""
        return _value(self.variables, "ingest") == "queue"

    @property
    def timeout_seconds(self) -> int:
        """Timeout of data-processor, in seconds."""
        timeout: int = _config()["stages"][self.name]["lambda_functions"]["data-processor"]["lambda_timeout"]
        return timeout

    def render(self, foundation: dict[str, Any]) -> None:
        """Write the foundation's outputs into .chalice/config.json, for `chalice deploy`."""
        config = _config()
        stage = config["stages"][self.name]
        stage["manage_iam_role"] = False
        stage["iam_role_arn"] = foundation["api_role_arn"]
        stage.setdefault("environment_variables", {}).update(
            RAW_BUCKET=foundation["raw_data_bucket_name"],
            PROCESSED_BUCKET=foundation["processed_data_bucket_name"],
            REJECTED_BUCKET=foundation["rejected_data_bucket_name"],
            STAGE=self.name,
            STAGE_REGION=self.region,
        )
        _set(stage["environment_variables"], "UPLOAD_QUEUE_ARN", foundation.get("upload_queue_arn"))
        function = stage["lambda_functions"]["data-processor"]
        function["iam_role_arn"] = foundation["data_processor_role_arn"]
        _set(function, "reserved_concurrency", foundation.get("reserved_concurrency"))
        for name in ("security_group_ids", "subnet_ids"):
            _set(stage, name, foundation[name])
        stage["lambda_architecture"] = foundation["lambda_architecture"]
        replace_text(CONFIG, json.dumps(config, indent=2) + "\n")


def _files(name: str) -> list[Path]:
    return [ENV / f"{name}.tfvars", ENV / f"{name}.s3.tfbackend"]


def _missing(name: str) -> Iterator[str]:
    for path in _files(name):
        if not path.exists():
            yield str(path.relative_to(ROOT))
    settings = _config()["stages"].get(name, {})
    if "lambda_timeout" not in settings.get("lambda_functions", {}).get("data-processor", {}):
        yield f'"{name}" under stages in .chalice/config.json, with a timeout for data-processor'


def _unknown(name: str, missing: list[str]) -> str:
    names = [path.stem for path in sorted(ENV.glob("*.tfvars"))]
    known = ", ".join(one for one in names if not list(_missing(one)))
    if not name:
        return f"Which stage? There are: {known}. Add --stage NAME (for make: STAGE=NAME)."
    return f"There is no stage {name}; there are: {known}. A new one needs {' and '.join(missing)}."


def _set(settings: dict[str, Any], name: str, value: object) -> None:
    # Chalice removes from the function what its configuration does not name.
    if value:
        settings[name] = value
    else:
        settings.pop(name, None)


def _config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads(CONFIG.read_text())
    return config


def _setting(path: Path, name: str) -> str:
    if not (value := _value(path, name)):
        raise UnknownStageError(f"{path.relative_to(ROOT)} does not set {name}.")
    return value


def _value(path: Path, name: str) -> str | None:
    found = re.search(rf'^{name}\s*=\s*"(.+)"', path.read_text(), re.MULTILINE)
    return found and found[1]
