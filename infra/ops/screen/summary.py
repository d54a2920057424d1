"""The result of a command, as text or JSON and, in GitHub Actions, on the summary page of the run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from infra.ops.screen.progress import console, print_json


def summarise(title: str, facts: Mapping[str, str]) -> None:
    """Print a title, and below it the facts, one per line."""
    print_json(summary=title, **facts)
    console.print(title)
    for name, value in facts.items():
        console.print(f"{name} {value}", highlight=False, markup=False)
    rows = [(name, f"`{value}`") for name, value in facts.items()]
    _add_to_page(f"### {title}\n\n" + (_as_markdown(("", ""), rows) if rows else ""))


def tabulate(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*(Column(name, overflow="fold") for name in header), box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(escape, row))
        print_json(**dict(zip(header, row, strict=True)))
    console.print(table)
    _add_to_page(_as_markdown(header, rows))


def _add_to_page(text: str) -> None:
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(page).open("a", encoding="utf-8") as summary:
            summary.write(text)


def _as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(_in_a_cell, line))} |\n" for line in lines) + "\n"


def _in_a_cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
