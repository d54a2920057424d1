"""The Terraform roots, checked without an account: their own tests, and what those cannot check."""

import re
from collections import Counter
from pathlib import Path

import pytest

from chalicelib import events, log_events, telemetry
from infra.ops.tools import terraform
from infra.ops.tools.roots import PASSED_TO_OPERATIONS
from tests.rendering import INFRA, Terraform, environment, initialised, run

ROOTS = {"foundation": INFRA, "bootstrap": INFRA / "bootstrap", "operations": INFRA / "operations"}
STAGES = sorted((INFRA / "env").glob("*.tfvars"))


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="module", params=ROOTS)
def root(request: pytest.FixtureRequest, environ: dict[str, str]) -> Terraform:
    return initialised(ROOTS[request.param], environ)


def sources(directory: Path, pattern: str) -> str:
    return "\n".join(path.read_text() for path in sorted(directory.glob(pattern)))


def test_it_is_formatted(environ: dict[str, str]) -> None:
    done = run(INFRA, environ, "fmt", "-check", "-diff", "-recursive")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_root_is_valid_and_passes_its_tests(root: Terraform) -> None:
    assert "The configuration is valid" in root("validate")
    assert re.search(r"Success! [1-9]\d* passed, 0 failed", root("test"))


@pytest.mark.parametrize("directory", ROOTS.values(), ids=ROOTS)
def test_every_validation_has_a_test(directory: Path) -> None:
    blocks = re.split(r'^variable "', sources(directory, "variables.tf"), flags=re.MULTILINE)[1:]
    validations = Counter({block.split('"')[0]: block.count("\n  validation {") for block in blocks})
    failures = re.findall(r"expect_failures = \[(.*?)\]", sources(directory, "tests/*.tftest.hcl"))
    tried = Counter(name for names in failures for name in re.findall(r"var\.(\w+)", names))

    assert not validations - tried


def test_operations_receive_all_their_variables() -> None:
    wanted = set(
        re.findall(r'^variable "(\w+)"', sources(INFRA / "operations", "variables.tf"), re.MULTILINE)
    )
    page = (INFRA / "README.md").read_text()
    (by_hand,) = re.findall(r"^for name in ([^;]+); do$", page, re.MULTILINE)

    assert wanted == {*PASSED_TO_OPERATIONS, "rest_api_id", "timeout_seconds"}
    assert set(by_hand.replace("\\\n", "").split()) == set(PASSED_TO_OPERATIONS)
    for name in PASSED_TO_OPERATIONS:
        assert f'output "{name}"' in sources(INFRA, "outputs.tf")


def test_every_root_locks_the_provider_for_every_platform() -> None:
    locks = {(directory / ".terraform.lock.hcl").read_text() for directory in ROOTS.values()}

    assert len(locks) == 1
    assert len(re.findall(r'"zh:[0-9a-f]{64}"', locks.pop())) == 15


def test_every_stage_can_be_planned(environ: dict[str, str], tmp_path: Path) -> None:
    foundation = initialised(INFRA, environ, "env")
    one_more = tmp_path / "staging.tfvars"
    one_more.write_text('stage = "staging"\nregion = "eu-central-1"\n')

    for variables in [*STAGES, one_more]:
        said = foundation("test", "-test-directory=env", f"-var-file={variables}")
        assert "Success! 4 passed" in said, variables.name


def test_alarms_and_dashboard_use_exactly_the_metrics_of_the_code() -> None:
    text = sources(INFRA / "operations", "cloudwatch.tf")
    (listed,) = re.findall(r"metric_names = \[(.*?)\]", text, re.DOTALL)

    assert set(re.findall(r'"(\w+)"', listed)) == set(log_events.METRICS)
    assert set(re.findall(r"local\.metrics\.(\w+)", text)) == set(log_events.METRICS)
    assert f'application = "{telemetry.NAMESPACE}"' in sources(INFRA / "operations", "main.tf")


def test_the_upload_queue_receives_the_same_events_as_the_function() -> None:
    text = sources(INFRA, "s3.tf")
    (listed,) = re.findall(r"events = \[(.+)]", text)

    assert re.findall(r'"([^"]+)"', listed) == events.S3_EVENT_TYPES
    assert f'filter_suffix = "{events.SUFFIX}"' in text


def test_the_provider_comes_from_the_folder_in_the_environment() -> None:
    assert terraform.init_options({"TF_PLUGIN_DIR": "/mirror"}) == ["-plugin-dir=/mirror"]


def test_the_provider_is_found_in_terraforms_own_mirrors_before_opt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, opt = tmp_path / "home", tmp_path / "opt"
    environ = {"HOME": str(home), "XDG_DATA_DIRS": str(tmp_path / "share")}
    monkeypatch.setattr(terraform, "OPT", opt)
    assert terraform.init_options(environ) == []

    (opt / "mirror" / terraform.PROVIDER).mkdir(parents=True)
    assert terraform.init_options(environ) == [f"-plugin-dir={opt}/mirror"]

    (home / ".local/share/terraform/plugins" / terraform.PROVIDER).mkdir(parents=True)
    assert terraform.init_options(environ) == [f"-plugin-dir={home}/.local/share/terraform/plugins"]
