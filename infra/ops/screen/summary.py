"""What a command has come to: on the screen and, in GitHub Actions, on the page of the run."""

import os
from collections.abc import Mapping
from pathlib import Path

from infra.ops.screen.progress import console


def summarise(title: str, facts: Mapping[str, str]) -> None:
    """Tell the facts, one a line, below a title."""
    console.print(title)
    for what, value in facts.items():
        console.print(f"{what} {value}", highlight=False, markup=False)
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(page).open("a", encoding="utf-8") as summary:
            summary.write(_as_markdown(title, facts))


def _as_markdown(title: str, facts: Mapping[str, str]) -> str:
    rows = [f"| {what} | `{value}` |\n" for what, value in facts.items()]
    table = ["| | |\n|---|---|\n", *rows, "\n"] if rows else []
    return "".join([f"### {title}\n\n", *table])
