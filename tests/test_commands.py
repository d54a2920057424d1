"""What all commands have in common, and the page infra/COMMANDS.md."""

import ast
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from infra.ops.__main__ import ops
from infra.ops.local.cloud import ROOT

# They print a document, or the output of the pipeline.
WITHOUT_JSON = {"local", "schema", "openapi", "commands"}


@pytest.mark.parametrize("columns", ["40", "200"])
def test_the_page_of_commands_is_up_to_date(columns: str) -> None:
    command = [sys.executable, "-m", "infra.ops", "commands"]
    env = {**os.environ, "COLUMNS": columns}
    page = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout

    assert page == (ROOT / "infra" / "COMMANDS.md").read_text(), "run `make commands`"
    for name in ops.commands:
        assert f"Usage: python -m infra.ops {name} " in page


@pytest.mark.parametrize("name", sorted(set(ops.commands) - WITHOUT_JSON))
def test_every_command_has_the_option_json(name: str) -> None:
    assert "--json" in {option for one in ops.commands[name].params for option in one.opts}


@pytest.mark.parametrize("command", ops.commands.values(), ids=ops.commands)
def test_every_command_and_every_option_has_a_help_text(command: click.Command) -> None:
    assert command.help
    assert all(one.help for one in command.params if isinstance(one, click.Option))


@pytest.mark.parametrize("name", ops.commands)
def test_wrong_usage_ends_with_2(name: str) -> None:
    result = CliRunner().invoke(ops.commands[name], ["--no-such-option"])

    assert result.exit_code == 2


def test_every_error_has_the_base_class_that_the_command_line_reports() -> None:
    sources = (ROOT / "infra" / "ops").rglob("*.py")
    nodes = (node for path in sources for node in ast.walk(ast.parse(path.read_text())))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    own = {one.name for one in classes for base in one.bases if ast.unparse(base).endswith("Exception")}

    assert own == {"OperatorError"}
