"""A replacement of the aws command line, so that the tests do not require it.

Runs as `python -m tests.aws_cli s3 cp …`. It has only the commands that the Markdown pages use.
"""

import sys
from pathlib import Path
from typing import Any

import boto3


def account(*options: str) -> None:
    assert options == ("--query", "Account", "--output", "text")
    sys.stdout.write(boto3.client("sts").get_caller_identity()["Account"])


def copy(source: str, target: str) -> None:
    if source.startswith("s3://"):
        assert target == "-"
        sys.stdout.write(at(source).get()["Body"].read().decode())
    else:
        at(target).put(Body=Path(source).read_bytes())


def remove(target: str) -> None:
    at(target).delete()


def at(url: str) -> Any:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return boto3.resource("s3").Object(bucket, key)


COMMANDS = {("sts", "get-caller-identity"): account, ("s3", "cp"): copy, ("s3", "rm"): remove}

if __name__ == "__main__":
    _, service, verb, *arguments = sys.argv
    COMMANDS[service, verb](*arguments)  # type: ignore[operator]
