"""The manual deployment of infra/README.md, run as written, in a checkout with the tools that it uses."""

import os
import re
import sys
from pathlib import Path

from infra.ops.tools import terraform
from tests.readme import blocks_of, manual_path

STAGE = "staging"
SHELL, BOOTSTRAP, FOUNDATION, APPLICATION, OPERATIONS, UPLOAD, TEARDOWN = (
    title for title in re.findall(r"^### (.+)$", manual_path(), re.MULTILINE)
)
# Replaces `make .venv/ready`, which would download the same tools.
TOOLS = {
    "python": [sys.executable],
    "chalice": [sys.executable, "-m", "infra.ops.local.chalice"],
    "aws": [sys.executable, "-m", "tests.aws_cli"],
}


def tools(checkout: Path) -> dict[str, str]:
    """Put the tools into a checkout's .venv; returns the environment variables for it."""
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
    """Return the code blocks under a heading."""
    page = manual_path()
    section = page[page.index(f"### {title}\n") :].partition("\n### ")[0]
    return [one.text for one in blocks_of(section)]


def script(*parts: str) -> str:
    """Make a shell script: the page's variables for every shell, with our stage, then the parts."""
    _, variables = shown(SHELL)
    return "\n".join([variables.replace("STAGE=dev", f"STAGE={STAGE}"), *parts])


def teardown() -> str:
    """Make the script of the teardown, which needs the variables of an earlier part."""
    (operations,) = shown(OPERATIONS)
    variables, _, _ = operations.partition("terraform -chdir=infra/operations init")
    return script(variables, *shown(TEARDOWN))
