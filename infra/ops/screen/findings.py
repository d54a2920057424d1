"""Findings about a stage or an object: printed on one screen, with the command to run next."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from infra.ops.screen.progress import console, print_json


class Finding(NamedTuple):
    """The result of one check: lines for the screen, and facts for --json.

    `todo` is the command to run next, if something is left to do. `copyable` is a line printed unwrapped.
    """

    name: str
    lines: Sequence[str]
    facts: Mapping[str, Any]
    todo: str = ""
    copyable: str = ""


def unknown(name: str, why: str) -> Finding:
    """Return the finding of a check that failed, with the reason."""
    return Finding(name, [f"unknown: {why}"], {"unknown": why})


def show_findings(title: str, findings: Sequence[Finding]) -> bool:
    """Print the findings and which commands to run next; returns whether something is left to do."""
    todo = list(dict.fromkeys(one.todo for one in findings if one.todo))
    for one in findings:
        print_json(finding=one.name, **one.facts, todo=one.todo)
    print_json(summary=title, todo=todo)
    _print_all(title, findings)
    for one in findings:
        if one.copyable:
            console.print(one.copyable, "", sep="\n", highlight=False, markup=False)
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
        table.add_row(mark, f"[{style}]{escape(one.name)}[/]", escape("\n".join(one.lines)))
    console.print(f"\n[bold]{escape(title)}[/bold]\n", highlight=False)
    console.print(table, "", highlight=False)
