"""Commands show which account and endpoints they reach, and refuse unknown endpoints, before any change."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from infra.ops.aws.account import ForeignEndpointError, account, reached
from infra.ops.local.cloud import ROOT
from infra.ops.stage import Stage
from tests.deployment import Deployment
from tests.operating import STAGES

DEAD = "http://127.0.0.1:9"  # nothing listens there


def operate(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command with only these environment variables of AWS; returns exit code and output."""
    env = {"HOME": os.devnull, "PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"} | environment
    done = subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def ops(*arguments: str, **environment: str) -> tuple[int, str]:
    return operate(sys.executable, "-m", "infra.ops", *arguments, **environment)


@contextmanager
def another_emulator() -> Iterator[str]:
    """Run another HTTP server than our local cloud on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_the_endpoint_of_a_local_cloud_is_shown(deployment: Deployment) -> None:
    stage = Stage("dev")

    assert reached(stage) == {
        "account": "000000000000",
        "region": stage.region,
        "region of the state": stage.state_region,
        "AWS_ENDPOINT_URL": deployment.s3.meta.endpoint_url,
    }


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize(
    "endpoint",
    [
        "https://s3.eu-central-1.amazonaws.com",
        "https://bucket.vpce-1-2.s3.us-east-1.vpce.amazonaws.com",
        "https://s3.cn-north-1.amazonaws.com.cn",
    ],
)
def test_an_endpoint_of_aws_is_shown_too(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    assert reached(Stage("dev"))["AWS_ENDPOINT_URL_S3"] == endpoint


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize(
    "endpoint",
    [DEAD, "http://localhost:4566", "https://amazonaws.com.example.org", "https://amazonaws.com@example.org"],
)
def test_an_unknown_endpoint_is_refused(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    with pytest.raises(ForeignEndpointError, match="AWS_ENDPOINT_URL_S3 is http"):
        reached(Stage("dev"))


@pytest.mark.usefixtures("deployment")
def test_another_emulator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with another_emulator() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", endpoint)

        with pytest.raises(ForeignEndpointError, match=f"AWS_ENDPOINT_URL_LAMBDA is {endpoint}"):
            reached(Stage("dev"))


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize(
    ("profile", "whose"),
    [
        (f"[default]\nendpoint_url = {DEAD}\n", "the profile"),
        (
            (
                f"[default]\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = {DEAD}\n"
                "sts =\n  endpoint_url = https://sts.amazonaws.com\n"
            ),
            "s3",
        ),
    ],
    ids=["of all services", "of one"],
)
def test_an_endpoint_in_a_profile_is_checked_too(
    profile: str, whose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(profile)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    with pytest.raises(ForeignEndpointError, match=f"endpoint_url of {whose} is {DEAD}"):
        reached(Stage("dev"))


@pytest.mark.parametrize("command", ["bootstrap", "configure", "deploy", "destroy"])
def test_the_endpoint_of_a_stopped_local_cloud_is_refused(command: str) -> None:
    code, said = ops(command, "--stage", "dev", AWS_ENDPOINT_URL=DEAD)

    assert code == 1
    assert said.startswith(f"Error: AWS_ENDPOINT_URL is {DEAD}: neither AWS nor a running local cloud")


@pytest.mark.parametrize("command", ["bootstrap", "configure", "deploy", "destroy", "plan", "redrive"])
def test_without_credentials_the_error_says_how_to_give_them(command: str) -> None:
    code, said = ops(command, "--stage", "dev")

    assert code == 1
    assert said.startswith("Error: Unable to locate credentials\nGive credentials that are valid")
    assert "Traceback" not in said


def test_refused_credentials_have_the_same_error(deployment: Deployment) -> None:
    endpoint = str(deployment.s3.meta.endpoint_url)
    stale = {"AWS_ACCESS_KEY_ID": "AKIASTALE", "AWS_SECRET_ACCESS_KEY": "stale"}

    code, said = ops("plan", "--stage", "dev", AWS_ENDPOINT_URL=endpoint, **stale)

    assert code == 1
    assert "aws sso login" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("target", ["bootstrap", "configure", "deploy", "destroy", "plan"])
def test_make_requires_a_stage(target: str) -> None:
    code, said = operate("make", "--no-print-directory", target)

    assert code == 2
    assert f"Which stage? There are: {', '.join(STAGES)}. Add --stage NAME (for make: STAGE=NAME)." in said


def test_a_stage_that_does_not_exist_cannot_be_configured(deployment: Deployment) -> None:
    endpoint = str(deployment.s3.meta.endpoint_url)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

    code, said = ops("configure", "--stage", "dev", AWS_ENDPOINT_URL=endpoint, **keys)

    assert code == 1
    assert said.startswith(f"account {account(Stage('dev').region)}\nregion {Stage('dev').region}\n")
    assert "The stage dev is not complete: there is no bucket" in said
    assert said.endswith("or the steps in infra/README.md.\n")  # without the advice to run it again


# test_account.py runs the steps themselves. This is the output for a stage that fails its checks.
DEPLOYED_BUT_WRONG = """
import runpy
from infra.ops.aws import verification
from infra.ops.commands import deploy
deploy.deploy = lambda stage, step: ({"POST": "https://api"}, None)
verification.verify = lambda there, step: [verification.Line("it works", "it does not", passed=False)]
runpy.run_module("infra.ops", run_name="__main__")
"""


def test_what_is_deployed_is_shown_even_if_its_checks_fail(deployment: Deployment) -> None:
    endpoint = str(deployment.s3.meta.endpoint_url)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    command = [sys.executable, "-c", DEPLOYED_BUT_WRONG, "deploy", "--stage", "dev"]

    code, said = operate(*command, AWS_ENDPOINT_URL=endpoint, **keys)

    assert code == 1
    assert "The stage dev is deployed.\nPOST https://api\n" in said
    assert said.endswith("1 of 1 failed: it works.\n")
