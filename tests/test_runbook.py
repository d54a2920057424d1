"""The runbook has an entry for every alarm, and the commands that it names exist."""

import re

import pytest

from infra.ops.__main__ import ops
from infra.ops.aws import failures
from infra.ops.local.cloud import ROOT
from tests.readme import INFRA_PAGE
from tests.rendering import INFRA, Rendered, environment, initialised, rendered

PAGE = INFRA_PAGE.read_text()
RUNBOOK = PAGE[PAGE.index("\n## Runbook\n") :]
FIRST_CELLS = re.findall(r"^\| (.+?) \|", RUNBOOK, re.MULTILINE)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    foundation = initialised(INFRA, environment(tmp_path_factory.mktemp("terraform")), "env")
    return rendered(foundation, "dev")


def test_every_alarm_that_a_stage_can_have_has_an_entry(stage: Rendered) -> None:
    # Alarms of features that are off by default are in the source only.
    source = (INFRA / "operations" / "cloudwatch.tf").read_text()
    optional = set(re.findall(r"^ +([a-z]+(?:-[a-z]+)+) += \{$", source, re.MULTILINE))
    alarms = {arn.rpartition(".")[2] for arn in stage.arns("alarm")} | optional
    entries = {cell.strip("`") for cell in FIRST_CELLS[1 : FIRST_CELLS.index("cause")]}

    assert len(alarms) >= 10
    assert alarms <= entries


@pytest.mark.parametrize("words", failures.CONDITIONS.values())
def test_every_reason_why_lambda_gave_up_an_event_has_an_entry(words: str) -> None:
    assert f"| `{words}` |" in RUNBOOK


def test_every_command_that_it_names_exists() -> None:
    named = set(re.findall(r"python -m infra\.ops (\w+)|`make (\w+)", RUNBOOK))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {command for command, _ in named if command} <= set(ops.commands)
    assert {target for _, target in named if target} <= targets
