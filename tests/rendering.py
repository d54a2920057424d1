"""A stage as Terraform would create it, rendered with a mocked provider: no account, no network."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.ops.local.cloud import LOCAL, ROOT
from infra.ops.tools import terraform

INFRA = ROOT / "infra"
UNREACHABLE = "could not connect to registry.terraform.io"
ACCOUNT = "123456789012"
REGION = "eu-central-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
STATES = f"arn:aws:s3:::ikerian-data-pipeline-state-{ACCOUNT}"
# ARNs by resource type. Terraform appends 18 digits of the time and 8 of a counter to a name prefix.
HERE = f"{REGION}:{ACCOUNT}"
ARNS = {
    "aws_cloudwatch_dashboard": f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{{dashboard_name}}",
    "aws_cloudwatch_log_group": f"arn:aws:logs:{HERE}:log-group:{{name}}",
    "aws_cloudwatch_metric_alarm": f"arn:aws:cloudwatch:{HERE}:alarm:{{alarm_name}}",
    "aws_iam_role": f"arn:aws:iam::{ACCOUNT}:role/{{name}}",
    "aws_scheduler_schedule": f"arn:aws:scheduler:{HERE}:schedule/default/{{name}}",
    "aws_sfn_state_machine": f"arn:aws:states:{HERE}:stateMachine:{{name}}",
    "aws_s3_bucket": "arn:aws:s3:::{bucket_prefix}20261125134631092200000001",
    "aws_sns_topic": f"arn:aws:sns:{HERE}:{{name}}",
    "aws_sqs_queue": f"arn:aws:sqs:{HERE}:{{name}}",
}

type Terraform = Callable[..., str]


@dataclass(frozen=True)
class Rendered:
    """A stage's resources by address, with the ARNs that AWS would assign."""

    name: str
    resources: dict[str, dict[str, Any]]

    def arns(self, kind: str = "") -> list[str]:
        """List the ARNs of the stage's resources, or of those whose type contains `kind`."""
        return [arn for made in self.resources.values() if kind in made["type"] and (arn := _arn(made))]

    def policies(self) -> dict[str, dict[str, Any]]:
        """Return the policies, by the address of the resource."""
        return {
            at: json.loads(made["values"]["policy"])
            for at, made in self.resources.items()
            if "policy" in made["values"] and made["type"] not in ARNS
        }

    def trust(self) -> dict[str, dict[str, Any]]:
        """Return the trust policies by address, each with the role as its resource."""
        policies = {}
        for at, made in self.resources.items():
            if "assume_role_policy" in made["values"]:
                policy = json.loads(made["values"]["assume_role_policy"])
                statements = [one | {"Resource": _arn(made)} for one in policy["Statement"]]
                policies[f"{at}, trust"] = policy | {"Statement": statements}
        return policies

    def statements(self, address: str = "") -> Iterator[dict[str, Any]]:
        """Yield the statements of all policies, or of those whose address contains `address`."""
        for at, policy in self.policies().items():
            if address in at:
                yield from policy["Statement"]


def environment(folder: Path) -> dict[str, str]:
    """Return Terraform's environment variables; skips the test if Terraform is not installed."""
    if not shutil.which("terraform"):
        pytest.skip("Terraform is not installed")
    # Terraform's data stays out of the checkout, and it does not check for a newer version.
    return {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_DATA_DIR": str(folder)}


def initialised(directory: Path, environ: dict[str, str], *tests: str) -> Terraform:
    """Run `terraform init` in a root, with the locked provider and the modules of the tests."""
    data = Path(environ["TF_DATA_DIR"]) / directory.name
    here = {**environ, "TF_DATA_DIR": str(data)}
    options = [*terraform.init_options(environ), *(f"-test-directory={test}" for test in tests)]
    done = run(directory, here, "init", "-backend=false", "-input=false", "-lockfile=readonly", *options)
    if not terraform.init_options(environ) and UNREACHABLE in " ".join(done.stderr.split()):
        pytest.skip("no provider hashicorp/aws on this machine, and the registry is out of reach")
    assert done.returncode == 0, done.stderr

    def in_root(*arguments: str) -> str:
        done = run(directory, here, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return in_root


def run(directory: Path, environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Terraform in a directory."""
    command = ["terraform", f"-chdir={directory}", *arguments, "-no-color"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def rendered(foundation: Terraform, stage: str) -> Rendered:
    """Render a stage with all optional parts: foundation, operations, deployer and boundary."""
    everything = {
        "ingest": "queue",
        "vpc_cidr": "10.20.0.0/24",
        "kms_key_arn": KEY,
        "reconcile_schedule": "rate(1 day)",
    }
    variables = {"stage": stage, "region": REGION, **everything}
    options = [f"-var={name}={value}" for name, value in variables.items()]
    printed = foundation("test", "-test-directory=env", "-json", "-verbose", *options)
    states = [line["test_state"] for line in map(json.loads, printed.splitlines()) if "test_state" in line]
    made = [resource for state in states for resource in _resources(state["root_module"])]
    text = json.dumps({resource["address"]: resource for resource in made})
    for resource in made:
        # Other resources refer to the ARN that the mocked provider made up. Replace it everywhere.
        if arn := _arn(resource):
            text = re.sub(rf"\b{re.escape(resource['values'].get('arn', arn))}\b", arn, text)
    return Rendered(stage, json.loads(text))


def _resources(module: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _arn(resource: dict[str, Any]) -> str | None:
    template = ARNS.get(resource["type"])
    return template and template.format(**resource["values"])


def main() -> None:
    """Print all policies of a stage, and that of the stage `local`."""
    try:
        stage = rendered(initialised(INFRA, environment(LOCAL / "audit"), "env"), "dev")
    except pytest.skip.Exception as reason:
        sys.exit(str(reason))
    local = ROOT / ".chalice" / "policy-local.json"
    policies = {**stage.policies(), **stage.trust(), local.name: json.loads(local.read_text())}
    print(json.dumps(policies, indent=1))  # noqa: T201 - it is a program


if __name__ == "__main__":
    main()
