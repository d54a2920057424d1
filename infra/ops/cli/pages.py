"""The page infra/COMMANDS.md: the --help of every command."""

from collections.abc import Iterator
from typing import cast

import click

WIDTH = 80  # columns
BEGINNING = """\
# The operator's commands

`make commands` writes this page from the `--help` of each command. A test checks that it is up to date.

With `--json`, a command prints lines of JSON and nothing else: the account and the region, its steps, and at
the end a line with `summary`, or `error`. Exit codes: 0 success, 1 an error, 2 wrong usage, 3 something is
left to do, and the command says what. `check` also has 4.
"""


def helps(root: click.Context) -> str:
    """Return the page for a group of commands."""
    return BEGINNING + "".join(_sections(root))


def _sections(root: click.Context) -> Iterator[str]:
    for name, command in cast("click.Group", root.command).commands.items():
        context = click.Context(command, info_name=name, parent=root, terminal_width=WIDTH)
        yield f"\n## {name}\n\n```text\n{command.get_help(context)}\n```\n"
