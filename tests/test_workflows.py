"""What GitHub runs: valid, pinned, without keys, and with no shell but what is run here, too."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infra.ops.local.cloud import ROOT
from infra.ops.screen.summary import summarise
from infra.ops.tools import terraform
from tests.expressions import evaluated

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
STAGES = sorted(path.stem for path in (ROOT / "infra" / "env").glob("*.tfvars"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(path: Path) -> dict[Any, Any]:
    return dict(YAML(typ="safe").load(path))


def steps(path: Path) -> Iterator[dict[str, Any]]:
    content = read(path)
    for job in content.get("jobs", {}).values():
        yield from job.get("steps", [])
    yield from content.get("runs", {}).get("steps", [])


def commands(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("schema", "paths"),
    [("workflows", WORKFLOWS), ("actions", ACTIONS)],
    ids=["workflows", "actions"],
)
def test_they_are_what_github_understands(schema: str, paths: list[Path]) -> None:
    assert paths
    conforms(f"vendor.github-{schema}", paths)


def test_dependabot_is_told_in_its_own_words() -> None:
    conforms("vendor.dependabot", [GITHUB / "dependabot.yml"])


def conforms(schema: str, paths: list[Path]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.stem)
def test_what_others_wrote_is_pinned_to_a_commit(path: Path) -> None:
    for used in re.findall(r"uses: (.+)", path.read_text()):
        assert used.startswith("./") or re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


def test_the_same_commit_everywhere() -> None:
    used = {use for path in [*WORKFLOWS, *ACTIONS] for use in re.findall(r"uses: (\w.+)", path.read_text())}

    assert len({use.partition("@")[0] for use in used}) == len(used)


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.stem)
def test_every_command_is_one_that_is_tried_here(path: Path) -> None:
    for command in commands(path):
        verb, _, rest = command.partition(" ")
        if verb == "make":
            # "$COMMAND" is told by the workflows that call this one: the next test.
            assert rest.partition(" ")[0] in {*TARGETS, '"$COMMAND"'}, command
        else:
            assert command in {".github/check-account", ".github/comment-plan"}
        assert "${{" not in command, "GitHub would put somebody's words into the shell"


def test_what_a_stage_is_told_to_do_is_a_target() -> None:
    told = {
        job["with"]["command"] for path in WORKFLOWS for job in jobs(path) if "command" in job.get("with", {})
    }

    assert told == {"deploy", "destroy"} <= TARGETS


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(read(path)["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_knows_a_secret_or_may_write_to_the_repository(path: Path) -> None:
    granted = [read(path)["permissions"], *(job.get("permissions", {}) for job in jobs(path))]

    assert "secrets." not in path.read_text()
    assert all(one.get("contents", "read") == "read" for one in granted)
    assert {key for one in granted for key, value in one.items() if value == "write"} <= {
        "id-token",
        "pull-requests",
    }


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_every_stage_can_be_chosen(name: str) -> None:
    content = read(GITHUB / "workflows" / f"{name}.yml")

    assert content["on"]["workflow_dispatch"]["inputs"]["stage"]["options"] == STAGES


def test_a_stage_is_destroyed_only_when_its_name_is_typed_again() -> None:
    (job,) = jobs(GITHUB / "workflows" / "destroy.yml")

    assert job["if"] == "inputs.confirmation == inputs.stage"


def test_what_is_deployed_was_tested_in_the_environment_of_its_stage() -> None:
    deploy, stage = (read(GITHUB / "workflows" / f"{name}.yml") for name in ("deploy", "stage"))

    assert deploy["jobs"]["stage"]["needs"] == "ci"
    assert stage["jobs"]["run"]["environment"] == "${{ inputs.stage }}"


def group(workflow: str, known: dict[str, str]) -> str:
    return evaluated(read(GITHUB / "workflows" / f"{workflow}.yml")["concurrency"]["group"], known)


def started_by(event: str, stage: str = "") -> dict[str, str]:
    return {"github.event_name": event, "inputs.stage": stage}


@pytest.mark.parametrize(
    ("event", "stage"),
    [
        (started_by("push"), "dev"),
        (started_by("release"), "prod"),
        (started_by("workflow_dispatch", "dev"), "dev"),
        (started_by("workflow_dispatch", "prod"), "prod"),
    ],
    ids=["push", "release", "dev by hand", "prod by hand"],
)
def test_a_stage_is_deployed_in_the_line_in_which_it_is_destroyed(event: dict[str, str], stage: str) -> None:
    deploy = read(GITHUB / "workflows" / "deploy.yml")["jobs"]["stage"]

    assert evaluated(deploy["with"]["stage"], event) == stage
    assert group("deploy", event) == group("destroy", started_by("workflow_dispatch", stage))


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_no_run_cancels_another_that_waits_or_works(name: str) -> None:
    # In its callers' line, it would wait for the run that waits for it.
    assert "concurrency" not in read(GITHUB / "workflows" / "stage.yml")
    concurrency = read(GITHUB / "workflows" / f"{name}.yml")["concurrency"]

    assert concurrency["queue"] == "max"
    assert not concurrency.get("cancel-in-progress")


def test_a_newer_push_stops_the_checks_of_an_older_one_and_nothing_that_is_to_be_deployed() -> None:
    def run(workflow: str, number: str) -> str:
        known = {"github.workflow": workflow, "github.run_id": number, "github.ref": "refs/heads/main"}
        return group("ci", known)

    assert run("ci", "1") == run("ci", "2")
    assert run("deploy", "1") != run("deploy", "2")
    assert read(GITHUB / "workflows" / "ci.yml")["name"] == "ci"


def test_a_pre_release_is_not_deployed_until_it_is_a_release() -> None:
    # GitHub: `published` comes for pre-releases, too; `released` for releases, and for what becomes one.
    assert read(GITHUB / "workflows" / "deploy.yml")["on"]["release"]["types"] == ["released"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_condition_asks_for_a_variable_that_only_the_environment_has(path: Path) -> None:
    assert not [job for job in jobs(path) if "environment" in job and "vars." in job.get("if", "")]
    # Nor may the jobs that call it: they have no environment at all.
    assert not [job for job in jobs(path) if "uses" in job and "vars." in job.get("if", "")]


def test_a_stage_without_an_account_is_refused_before_anything_else(tmp_path: Path) -> None:
    checkout, first, *_ = steps(GITHUB / "workflows" / "stage.yml")
    assert checkout["uses"].startswith("actions/checkout@")
    assert first["run"] == ".github/check-account"
    assert first["env"]["AWS_ACCOUNT_ID"] == "${{ vars.AWS_ACCOUNT_ID }}"

    def check(account: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "AWS_ACCOUNT_ID": account, "STAGE": "prod"}
        return subprocess.run(
            ROOT / first["run"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    assert check("123456789012").returncode == 0
    for wrong in ("", "1234", "123456789012 "):
        refused = check(wrong)
        assert refused.returncode == 1
        assert re.match(r"::error title=.+::.+ AWS_ACCOUNT_ID, .+ environment prod ", refused.stdout)


def test_a_job_acts_in_the_role_that_terraform_makes_for_its_stage() -> None:
    (name,) = re.findall(
        r'name +=.+"(ikerian-.+-deployer)"', (ROOT / "infra/modules/deployer/main.tf").read_text()
    )

    (role,) = [
        step["with"]["role-to-assume"]
        for step in steps(GITHUB / "workflows" / "stage.yml")
        if "role-to-assume" in step.get("with", {})
    ]
    assert role.endswith(f":role/{name.replace('var.stage', '{ inputs.stage }')}")


def test_github_tests_with_the_python_and_the_terraform_of_the_project() -> None:
    by_name = {step["uses"].partition("@")[0]: step["with"] for step in steps(ACTIONS[0]) if "uses" in step}
    terraform_version = by_name["hashicorp/setup-terraform"]["terraform_version"]
    (wanted,) = re.findall(r'required_version = ">= ([\d.]+)"', (ROOT / "infra/main.tf").read_text())

    assert by_name["actions/setup-python"]["python-version-file"] == ".python-version"
    assert terraform_version.startswith(f"{wanted}.")


def test_the_provider_that_github_keeps_is_found(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "terraform", f'for last; do :; done; mkdir -p "$last/{terraform.PROVIDER}"')
    (kept,) = [step["with"]["path"] for step in steps(ACTIONS[0]) if step.get("id") == "providers"]

    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    subprocess.run(["/usr/bin/env", "make", "providers"], cwd=ROOT, env=env, check=True)

    found = terraform.init_options({"HOME": str(tmp_path)})
    assert found == [f"-plugin-dir={kept.replace('~', str(tmp_path))}"]


@pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not installed")
def test_the_provider_is_named_by_a_root_that_needs_no_modules_installed(tmp_path: Path) -> None:
    (root,) = re.findall(r"terraform -chdir=(\S+) providers mirror", (ROOT / "Makefile").read_text())
    command = ["/usr/bin/env", "terraform", f"-chdir={root}", "providers"]

    env = {**os.environ, "TF_DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)

    assert done.stderr  # that it has no backend, which mirroring does not mind
    assert "Module not installed" not in done.stdout + done.stderr


def test_a_plan_is_shown_on_its_pull_request(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "make", 'echo "$*" | sed -n "s/.* plan STAGE=dev/No changes./p"')
    program(tmp_path / "bin" / "gh", f'echo "$@" > {tmp_path}/said; cat "$7" > {tmp_path}/comment')
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "STAGE": "dev", "PULL_REQUEST": "https://pull/1"}

    subprocess.run([GITHUB / "comment-plan"], env=env, check=True)

    comment = (tmp_path / "comment").read_text()
    assert comment == "Terraform plan of `infra/` for `dev`:\n\n````\nNo changes.\n````\n"
    said = (tmp_path / "said").read_text()
    assert said.startswith("pr comment https://pull/1 --edit-last --create-if-none --body-file ")


def test_the_page_of_a_run_says_what_was_deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))

    summarise(
        "The stage dev is deployed.", {"POST": "https://api", "infra": "1 added, 0 changed, 0 destroyed"}
    )
    summarise("Nothing is left of the stage dev.", {})

    assert page.read_text() == (
        "### The stage dev is deployed.\n\n|  |  |\n| --- | --- |\n"
        "| POST | `https://api` |\n| infra | `1 added, 0 changed, 0 destroyed` |\n\n"
        "### Nothing is left of the stage dev.\n\n"
    )


def test_a_commit_is_checked_for_what_the_tests_look_at_first() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    (hook,) = repository["hooks"]

    assert repository["repo"] == "local"
    assert hook["entry"] == "make check"
    assert re.search(r"^test: check\b", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_change_log_begins_with_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(
        r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )

    assert released[0] == version
