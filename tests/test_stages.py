"""Every stage is complete, sets only settings that exist, and shares no bucket and no role with another."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from infra.ops.local.cloud import ROOT
from infra.ops.stage import Stage

ENV = ROOT / "infra" / "env"
CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text())["stages"]
FILES = sorted(ENV.glob("*.tfvars"))
# Whoever names a stage in one place wants it in all three.
NAMED = {path.name.partition(".")[0] for path in ENV.iterdir() if path.name.endswith(("tfvars", "tfbackend"))}


@pytest.mark.parametrize("name", sorted((NAMED | set(CONFIG)) - {"local"}))
def test_a_stage_has_both_files_and_its_block(name: str) -> None:
    assert Stage(name).region


@pytest.mark.parametrize("variables", FILES, ids=lambda path: path.stem)
def test_a_stages_file_names_the_stage_as_the_file_is_named(variables: Path) -> None:
    assert re.findall(r'^stage\s*= "(.+)"$', variables.read_text(), re.MULTILINE) == [variables.stem]


@pytest.mark.parametrize("variables", FILES, ids=lambda path: path.stem)
def test_a_stages_file_sets_only_variables_that_exist(variables: Path) -> None:
    # For an unknown one, Terraform only warns.
    declared = re.findall(r'^variable "(\w+)"', (ROOT / "infra" / "variables.tf").read_text(), re.MULTILINE)

    assert set(re.findall(r"^(\w+)\s*=", variables.read_text(), re.MULTILINE)) <= set(declared)


def test_no_two_stages_have_a_bucket_or_a_role_in_common() -> None:
    # `configure` writes them. Whoever then copies the block of a stage copies them, too.
    own = Counter(
        value
        for stage in CONFIG.values()
        for name, value in {**stage, **stage.get("environment_variables", {})}.items()
        if name.endswith("_BUCKET") or name == "iam_role_arn"
    )

    assert not {value for value, stages in own.items() if stages > 1}
