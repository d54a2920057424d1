"""The page of every command's --help, which is kept as infra/COMMANDS.md."""

from collections.abc import Iterator
from typing import cast

import click

WIDTH = 80  # columns
BEGINNING = """\
# The operator's commands

`make commands` writes this page, from what each command says about itself; a test compares the two.

With `--json`, a command prints lines of JSON and nothing else: where it acts, its steps, in the end its
outcome. It ends with 0 if all is well, 1 after an error, 2 if it is used wrongly, 3 if there is something to
do, which it then names; `check` has one more, 4.
"""


def helps(root: click.Context) -> str:
    """Write the page of a group of commands."""
    return BEGINNING + "".join(_sections(root))


def _sections(root: click.Context) -> Iterator[str]:
    for name, command in cast("click.Group", root.command).commands.items():
        context = click.Context(command, info_name=name, parent=root, terminal_width=WIDTH)
        yield f"\n## {name}\n\n```text\n{command.get_help(context)}\n```\n"
