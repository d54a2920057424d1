"""The rights that `pause`, `resume` and `replay` need, as infra/OPERATE.md lists them."""

from pathlib import Path

import pytest

from infra.ops.local.stage import OPERATIONS_BUCKET
from tests.deployment import Deployment, new_key
from tests.operating import ops
from tests.test_operator_rights import FUNCTIONS, SCAN, allowed

# The local cloud demands PutFunctionConcurrency for each of AWS's three actions. It has no Terraform state.
SWITCHES = [
    ("lambda:GetFunctionConfiguration", FUNCTIONS),
    ("lambda:ListEventSourceMappings", "*"),
    ("lambda:PutFunctionConcurrency", FUNCTIONS),
]
PAUSES = [*SWITCHES, ("lambda:GetFunctionConcurrency", FUNCTIONS)]
RESUMES = [*SWITCHES, ("lambda:DeleteFunctionConcurrency", FUNCTIONS)]
MACHINE = "ikerian-data-pipeline-local-replay"
OPERATIONS = f"arn:aws:s3:::{OPERATIONS_BUCKET}"
REPLAYS = [
    ("lambda:GetFunctionConfiguration", FUNCTIONS),
    ("states:DescribeStateMachine", f"arn:aws:states:*:*:stateMachine:{MACHINE}"),
    ("states:StartExecution", f"arn:aws:states:*:*:stateMachine:{MACHINE}"),
    # In AWS on the machine's executions and map runs; the local cloud knows these actions on `*` only.
    *((f"states:{action}", "*") for action in ["DescribeExecution", "ListMapRuns", "DescribeMapRun"]),
    ("states:ListExecutions", "*"),  # because the local cloud writes no results
    ("s3:ListBucket", OPERATIONS),
    ("s3:GetObject", f"{OPERATIONS}/*"),
    ("s3:PutObject", f"{OPERATIONS}/manifests/*"),
]
# Without the first, `allowed` itself fails. The local cloud writes no results that could be read.
UNTESTED = {"lambda:GetFunctionConfiguration", "s3:GetObject"}


@pytest.mark.usefixtures("deployment")
def test_pause_and_resume_need_only_these_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    for command, rights in (("pause", PAUSES), ("resume", RESUMES)):
        with allowed(rights, monkeypatch):
            assert ops(command).code == 0


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize("missing", ["lambda:ListEventSourceMappings", "lambda:PutFunctionConcurrency"])
def test_pause_and_resume_fail_without_one_of_them(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for command, rights in (("pause", PAUSES), ("resume", RESUMES)):
        with allowed([right for right in rights if right[0] != missing], monkeypatch):
            assert ops(command).code == 1


@pytest.mark.parametrize("missing", [None, *(action for action, _ in REPLAYS if action not in UNTESTED)])
def test_replay_needs_all_of_these_rights_and_no_more(
    deployment: Deployment, missing: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = new_key()
    deployment.upload(SCAN, key)
    keys = tmp_path / "keys"
    keys.write_text(f"{key}\n")

    with allowed([right for right in REPLAYS if right[0] != missing], monkeypatch):
        replayed = ops("replay", f"--files-from={keys}")

    assert replayed.code == (1 if missing else 0)
