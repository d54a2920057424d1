"""A stage in its own account, and the identities that act in it."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.ops.aws.uploads import Buckets
from infra.ops.stage import Stage
from tests.events import s3_event

STAGE = "dev"
REGION = Stage(STAGE).region
ELSEWHERE = "eu-west-1"  # the stage's file sets its region, not the environment
API = f"ikerian-data-pipeline-{STAGE}"
FUNCTION = f"{API}-data-processor"
ACCOUNT = "000000000000"
STATE_BUCKET = f"ikerian-data-pipeline-state-{ACCOUNT}"
GITHUB = "token.actions.githubusercontent.com"
REPOSITORY = "somebody/data-pipeline"
OWNER, NUMBER = 12, 345
NUMBERED = f"somebody@{OWNER}/data-pipeline@{NUMBER}"
WITHIN = 120  # seconds
REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}


class Account:
    """A checkout of the project and an account, with root's credentials or those in `environment`."""

    def __init__(self, checkout: Path, environment: dict[str, str] | None = None) -> None:
        self.checkout = checkout
        self.environment = environment or {}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the operator's command line."""
        return self._start(sys.executable, "-m", "infra.ops", *arguments)

    def _start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.checkout,
            env=os.environ | self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run any command in the checkout."""
        env = os.environ | self.environment | environment
        return subprocess.run(
            command, cwd=self.checkout, env=env, capture_output=True, text=True, check=False
        )

    def begin(self, *arguments: str) -> None:
        """Start an operator's command in the background."""
        self._begun = self.start(*arguments)

    def begin_script(self, text: str) -> None:
        """Start a shell script in the background."""
        self._begun = self._start("/bin/sh", "-ec", text)

    def end(self) -> str:
        """Wait for the background command; returns its output, also if it has been waited for before."""
        if self._begun.returncode is None:
            self._printed, _ = self._begun.communicate()
        assert self._begun.returncode == 0, self._printed
        return self._printed

    def ops(self, *arguments: str) -> str:
        """Run an operator's command; returns its output."""
        self.begin(*arguments)
        return self.end()

    def script(self, text: str) -> str:
        """Run a shell script; returns its output."""
        self.begin_script(text)
        return self.end()

    def stages(self) -> dict[str, Any]:
        """Read the stages from the checkout's configuration."""
        config = json.loads((self.checkout / ".chalice" / "config.json").read_text())
        return dict(config["stages"])

    def buckets(self) -> Buckets:
        """Return the names of the stage's buckets."""
        names = self.stages()[STAGE]["environment_variables"]
        return Buckets(names["RAW_BUCKET"], names["PROCESSED_BUCKET"], names["REJECTED_BUCKET"])

    def invoke(self, key: str) -> dict[str, Any] | None:
        """Invoke data-processor with the event of a raw object; returns its error, if any."""
        event = json.dumps(s3_event((self.buckets().raw, key))).encode()
        answer = client("lambda").invoke(FunctionName=FUNCTION, Payload=event)
        result: dict[str, Any] = json.loads(answer["Payload"].read())
        return result if "FunctionError" in answer else None


def client(service: str) -> Any:
    """Make a client of any service in the stage's region."""
    return boto3.Session(region_name=REGION).client(service)  # type: ignore[call-overload]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after a timeout."""
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@contextmanager
def acting_as(name: str, *statements: dict[str, Any]) -> Iterator[None]:
    """Act as an IAM user with exactly these permissions."""
    iam = client("iam")
    iam.create_user(UserName=name)
    if statements:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    access = iam.create_access_key(UserName=name)["AccessKey"]
    before = dict(os.environ)
    os.environ["AWS_ACCESS_KEY_ID"] = access["AccessKeyId"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = access["SecretAccessKey"]
    try:
        yield
    finally:
        os.environ |= before
        iam.delete_access_key(UserName=name, AccessKeyId=access["AccessKeyId"])


def allow(action: str, resource: str) -> dict[str, str]:
    """Make a statement of a policy."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def deployer(stage: str, subject: str | None = None) -> dict[str, str]:
    """Sign in like a job of GitHub Actions; returns its environment variables."""
    sts = boto3.client("sts", config=Config(signature_version=UNSIGNED), region_name=REGION)
    access = sts.assume_role_with_web_identity(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{deployer_role(stage)}",
        RoleSessionName="job",
        WebIdentityToken=_token(subject or f"repo:{REPOSITORY}:environment:{stage}"),
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": access["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": access["SecretAccessKey"],
        "AWS_SESSION_TOKEN": access["SessionToken"],
        "AWS_DEFAULT_REGION": ELSEWHERE,
    }


def deployer_role(stage: str) -> str:
    """Return the name of the role in which GitHub deploys a stage."""
    return f"ikerian-{stage}-deployer"


def _token(subject: str) -> str:
    # GitHub's token for a job. AWS verifies the signature; MiniStack reads only the claims.
    claims = {"iss": f"https://{GITHUB}", "aud": "sts.amazonaws.com", "sub": subject}
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "RS256"}, claims)
    )
    return f"{head}.{body}.signature"


# Actions that MiniStack checks with resource `*`, and AWS with the stage's own resources.
CHECKED_WITH_ANY_RESOURCE = {
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DeleteDashboards",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetDashboard",
    "cloudwatch:ListTagsForResource",
    "cloudwatch:PutDashboard",
    "lambda:CreateEventSourceMapping",
    "lambda:CreateFunction",
    "lambda:DeleteEventSourceMapping",
    "lambda:GetEventSourceMapping",
    "lambda:UpdateEventSourceMapping",
    "sns:ListTagsForResource",
    "states:ListTagsForResource",
}


def widen_for_ministack(role: str) -> None:
    """Grant a role these actions on `*`. Fails if the role lacks one of them for the stage's resources."""
    iam = client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    statements = [statement for policy in policies for statement in policy["Statement"]]
    granted = {action for statement in statements for action in listed(statement["Action"])}
    assert granted > CHECKED_WITH_ANY_RESOURCE
    extra = {"Effect": "Allow", "Action": sorted(CHECKED_WITH_ANY_RESOURCE), "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [extra]})
    iam.put_role_policy(RoleName=role, PolicyName="for-ministack", PolicyDocument=policy)


def listed(actions: str | list[str]) -> list[str]:
    """Return the actions of a statement as a list."""
    return [actions] if isinstance(actions, str) else actions


def role_session(name: str) -> boto3.Session:
    """Make a session in a function's role."""
    role = client("iam").get_role(RoleName=name)["Role"]["Arn"]
    access = client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return boto3.Session(access["AccessKeyId"], access["SecretAccessKey"], access["SessionToken"], REGION)


def denied(call: Callable[..., object], **parameters: object) -> bool:
    """Say whether IAM refuses a call; other errors are raised."""
    try:
        call(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] in REFUSED:
            return True
        raise
    return False
