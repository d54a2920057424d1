"""What is being done, on the screen: steps and bars; or, with --json, a line of JSON for each."""

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

# What goes into a file or a log has no width of its own.
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 120)

type Step = Callable[[str], None]

type Advance = Callable[[int, int | None], None]
"""Takes how many are done, and of how many if that is known."""


def speak_json() -> None:
    """From now on, print lines of JSON and nothing else."""
    console.quiet = True


def speaks_json() -> bool:
    """Say whether `speak_json` was asked for."""
    return console.quiet


def speak_aside() -> None:
    """From now on, leave the standard output to what is asked for; JSON stays there, too."""
    console.stderr = True


def tell_json(**facts: object) -> None:
    """Print one line, if JSON is spoken."""
    if speaks_json():
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


@contextmanager
def steps() -> Iterator[Step]:
    """Yield what announces the next step; each ends when the next begins."""
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=speaks_json()) as progress:

        def step(description: str) -> None:
            _finish(progress)
            progress.add_task(description, total=1)
            tell_json(step=description)

        yield step
        _finish(progress)


@contextmanager
def bar(description: str, total: int | None = None) -> Iterator[Advance]:
    """Yield what moves a progress bar; JSON is told at most once a second."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=speaks_json()) as progress:
        task = progress.add_task(description, total=total)
        told = 0.0

        def advance(done: int, total: int | None = total) -> None:
            nonlocal told
            progress.update(task, completed=done, total=total)
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                tell_json(step=description, done=done, total=total)

        yield advance


def _finish(progress: Progress) -> None:
    for task in progress.task_ids:
        progress.update(task, completed=1)
