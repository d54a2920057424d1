"""The GitHub workflows are valid, pinned, without secrets, and run only commands that are tested here."""

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
from tests.operating import STAGES

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
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
def test_workflows_and_actions_match_githubs_schemas(schema: str, paths: list[Path]) -> None:
    assert paths
    conforms(f"vendor.github-{schema}", paths)


def test_the_configuration_of_dependabot_matches_its_schema() -> None:
    conforms("vendor.dependabot", [GITHUB / "dependabot.yml"])


def conforms(schema: str, paths: list[Path]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.stem)
def test_third_party_actions_are_pinned_to_a_commit(path: Path) -> None:
    for used in re.findall(r"uses: (.+)", path.read_text()):
        assert used.startswith("./") or re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


def test_an_action_is_pinned_to_the_same_commit_everywhere() -> None:
    used = {use for path in [*WORKFLOWS, *ACTIONS] for use in re.findall(r"uses: (\w.+)", path.read_text())}

    assert len({use.partition("@")[0] for use in used}) == len(used)


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.stem)
def test_every_command_is_a_make_target_or_a_tested_script(path: Path) -> None:
    for command in commands(path):
        verb, _, rest = command.partition(" ")
        if verb == "make":
            # The callers of stage.yml set "$COMMAND": see the next test.
            assert rest.partition(" ")[0] in {*TARGETS, '"$COMMAND"'}, command
        else:
            assert command in {".github/check-account", ".github/comment-plan"}
        assert "${{" not in command, "an expression would be pasted into the shell: command injection"


def test_the_commands_for_a_stage_are_make_targets() -> None:
    called = {
        job["with"]["command"] for path in WORKFLOWS for job in jobs(path) if "command" in job.get("with", {})
    }

    assert called == {"deploy", "destroy"} <= TARGETS


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(read(path)["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_uses_secrets_or_may_write_to_the_repository(path: Path) -> None:
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


def test_a_deployment_follows_the_tests_and_runs_in_the_environment_of_its_stage() -> None:
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
def test_deploying_and_destroying_a_stage_share_a_concurrency_group(
    event: dict[str, str], stage: str
) -> None:
    deploy = read(GITHUB / "workflows" / "deploy.yml")["jobs"]["stage"]

    assert evaluated(deploy["with"]["stage"], event) == stage
    assert group("deploy", event) == group("destroy", started_by("workflow_dispatch", stage))


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_no_deployment_cancels_another(name: str) -> None:
    # In the group of its caller, it would wait for the run that waits for it.
    assert "concurrency" not in read(GITHUB / "workflows" / "stage.yml")
    concurrency = read(GITHUB / "workflows" / f"{name}.yml")["concurrency"]

    assert concurrency["queue"] == "max"
    assert not concurrency.get("cancel-in-progress")


def test_a_newer_push_cancels_the_checks_of_an_older_one_but_no_deployment() -> None:
    def run(workflow: str, number: str) -> str:
        known = {"github.workflow": workflow, "github.run_id": number, "github.ref": "refs/heads/main"}
        return group("ci", known)

    assert run("ci", "1") == run("ci", "2")
    assert run("deploy", "1") != run("deploy", "2")
    assert read(GITHUB / "workflows" / "ci.yml")["name"] == "ci"


def test_a_pre_release_is_not_deployed() -> None:
    # GitHub sends `published` for pre-releases, too; `released` for releases, and when one becomes one.
    assert read(GITHUB / "workflows" / "deploy.yml")["on"]["release"]["types"] == ["released"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_condition_uses_a_variable_of_an_environment(path: Path) -> None:
    assert not [job for job in jobs(path) if "environment" in job and "vars." in job.get("if", "")]
    # Jobs that call a workflow have no environment at all.
    assert not [job for job in jobs(path) if "uses" in job and "vars." in job.get("if", "")]


def test_the_first_step_refuses_a_stage_without_an_account(tmp_path: Path) -> None:
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


def test_a_job_assumes_the_role_that_terraform_creates_for_its_stage() -> None:
    (name,) = re.findall(
        r'name +=.+"(ikerian-.+-deployer)"', (ROOT / "infra/modules/deployer/main.tf").read_text()
    )

    (role,) = [
        step["with"]["role-to-assume"]
        for step in steps(GITHUB / "workflows" / "stage.yml")
        if "role-to-assume" in step.get("with", {})
    ]
    assert role.endswith(f":role/{name.replace('var.stage', '{ inputs.stage }')}")


def test_github_uses_the_projects_versions_of_python_and_terraform() -> None:
    by_name = {step["uses"].partition("@")[0]: step["with"] for step in steps(ACTIONS[0]) if "uses" in step}
    terraform_version = by_name["hashicorp/setup-terraform"]["terraform_version"]
    (required,) = re.findall(r'required_version = ">= ([\d.]+)"', (ROOT / "infra/main.tf").read_text())

    assert by_name["actions/setup-python"]["python-version-file"] == ".python-version"
    assert terraform_version.startswith(f"{required}.")


def test_the_provider_that_github_caches_is_found(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "terraform", f'for last; do :; done; mkdir -p "$last/{terraform.PROVIDER}"')
    (cached,) = [step["with"]["path"] for step in steps(ACTIONS[0]) if step.get("id") == "providers"]

    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    subprocess.run(["/usr/bin/env", "make", "providers"], cwd=ROOT, env=env, check=True)

    found = terraform.init_options({"HOME": str(tmp_path)})
    assert found == [f"-plugin-dir={cached.replace('~', str(tmp_path))}"]


@pytest.mark.skipif(not shutil.which("terraform"), reason="Terraform is not installed")
def test_make_providers_uses_a_root_without_modules(tmp_path: Path) -> None:
    (root,) = re.findall(r"terraform -chdir=(\S+) providers mirror", (ROOT / "Makefile").read_text())
    command = ["/usr/bin/env", "terraform", f"-chdir={root}", "providers"]

    env = {**os.environ, "TF_DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)

    assert done.stderr  # it has no backend yet, which `providers mirror` does not need
    assert "Module not installed" not in done.stdout + done.stderr


def test_a_plan_is_shown_on_its_pull_request(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "make", 'echo "$*" | sed -n "s/.* plan STAGE=dev/No changes./p"')
    program(tmp_path / "bin" / "gh", f'echo "$@" > {tmp_path}/arguments; cat "$7" > {tmp_path}/comment')
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "STAGE": "dev", "PULL_REQUEST": "https://pull/1"}

    subprocess.run([GITHUB / "comment-plan"], env=env, check=True)

    comment = (tmp_path / "comment").read_text()
    assert comment == "Terraform plan of `infra/` for `dev`:\n\n````\nNo changes.\n````\n"
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("pr comment https://pull/1 --edit-last --create-if-none --body-file ")


def test_the_summary_page_of_a_run_shows_what_was_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_the_commit_hook_runs_make_check() -> None:
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
