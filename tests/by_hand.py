"""The path of infra/README.md, run as it stands there, in a checkout that has the tools it names."""

import os
import re
import sys
from pathlib import Path

from infra.ops.tools import terraform
from tests.readme import BY_HAND, blocks

STAGE = "staging"
SHELL, BOOTSTRAP, FOUNDATION, APPLICATION, OPERATIONS, UPLOAD, TEARDOWN, _RUNBOOK = (
    title for title in re.findall(r"^## (.+)$", BY_HAND.read_text(), re.MULTILINE)
)
# In place of `make .venv/ready`, which fetches the same from a package registry.
TOOLS = {
    "python": [sys.executable],
    "chalice": [sys.executable, "-m", "infra.ops.local.chalice"],
    "aws": [sys.executable, "-m", "tests.aws_cli"],
}


def tools(checkout: Path) -> dict[str, str]:
    """Put the tools into a checkout's .venv; returns what it wants of the environment."""
    folder = checkout / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name, command in TOOLS.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {" ".join(command)} "$@"\n')
        (folder / name).chmod(0o755)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_ARGS_apply": "-auto-approve",
        "TF_CLI_ARGS_destroy": "-auto-approve",
        "TF_CLI_ARGS_init": " ".join(["-lockfile=readonly", *terraform.init_options(os.environ)]),
    }


def shown(title: str) -> list[str]:
    """Read the blocks under a heading."""
    page = BY_HAND.read_text()
    section = page[page.index(f"## {title}\n") :].partition("\n## ")[0]
    return [one.text for one in blocks(BY_HAND) if one.text in section]


def script(*parts: str) -> str:
    """Word a shell's script: what the page says of every shell, for our stage, and then the parts."""
    _, variables = shown(SHELL)
    return "\n".join([variables.replace("STAGE=dev", f"STAGE={STAGE}"), *parts])


def teardown() -> str:
    """Word the script of the last part, which wants the variables of an earlier one."""
    (operations,) = shown(OPERATIONS)
    variables, _, _ = operations.partition("terraform -chdir=infra/operations init")
    return script(variables, *shown(TEARDOWN))
