"""Progress on the screen: steps and bars or, with --json, a line of JSON for each."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

# A file or a log has no width: rich would assume 80 columns.
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 120)

type Step = Callable[[str], None]

type Advance = Callable[[int, int | None], None]
"""Takes how many are done, and the total if it is known."""


def use_json() -> None:
    """Print lines of JSON from now on, and nothing else."""
    console.quiet = True


def uses_json() -> bool:
    """Say whether `use_json` was called."""
    return console.quiet


def print_to_stderr() -> None:
    """Print text to the standard error from now on. JSON still goes to the standard output."""
    console.stderr = True


def print_json(**facts: object) -> None:
    """Print a line of JSON, if `use_json` was called."""
    if uses_json():
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


@contextmanager
def steps() -> Iterator[Step]:
    """Yield a function that announces the next step, which ends the one before."""
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=uses_json()) as progress:

        def step(description: str) -> None:
            _finish(progress)
            progress.add_task(description, total=1)
            print_json(step=description)

        yield step
        _finish(progress)


@contextmanager
def bar(description: str, total: int | None = None) -> Iterator[Advance]:
    """Yield a function that moves a progress bar. JSON is printed at most once a second."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=uses_json()) as progress:
        task = progress.add_task(description, total=total)
        printed = 0.0  # when JSON was printed last

        def advance(done: int, total: int | None = total) -> None:
            nonlocal printed
            progress.update(task, completed=done, total=total)
            if time.monotonic() - printed >= 1:
                printed = time.monotonic()
                print_json(step=description, done=done, total=total)

        yield advance


def _finish(progress: Progress) -> None:
    for task in progress.task_ids:
        progress.update(task, completed=1)
