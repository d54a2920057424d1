"""What was found of a stage or of an object: one screen of names and words, and which command comes next."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from infra.ops.screen.progress import console, tell_json


class Finding(NamedTuple):
    """What was found of one thing: in words, a line each, and as facts for a program.

    `todo` is the command that comes next, if something is to be done about it. `line` is one to be copied.
    """

    name: str
    words: Sequence[str]
    facts: Mapping[str, Any]
    todo: str = ""
    line: str = ""


def unknown(name: str, why: str) -> Finding:
    """Word what could not be found out, and why."""
    return Finding(name, [f"unknown: {why}"], {"unknown": why})


def show_findings(title: str, findings: Sequence[Finding]) -> bool:
    """Show them, and which commands come next; says whether something is to be done."""
    todo = list(dict.fromkeys(one.todo for one in findings if one.todo))
    for one in findings:
        tell_json(finding=one.name, **one.facts, todo=one.todo)
    tell_json(summary=title, todo=todo)
    _print_all(title, findings)
    for one in findings:
        if one.line:
            console.print(one.line, "", sep="\n", highlight=False, markup=False)
    if todo:
        console.print("Next:", *todo, sep="\n  ", highlight=False, markup=False)
    return bool(todo)


def _print_all(title: str, findings: Sequence[Finding]) -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in findings:
        mark, style = ("[bold red]![/]", "bold red") if one.todo else (" ", "dim")
        table.add_row(mark, f"[{style}]{escape(one.name)}[/]", escape("\n".join(one.words)))
    console.print(f"\n[bold]{escape(title)}[/bold]\n", highlight=False)
    console.print(table, "", highlight=False)
