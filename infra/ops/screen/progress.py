"""Steps on the screen: what is being done, and how long it takes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# What goes into a file or a log has no width of its own.
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 120)

type Step = Callable[[str], None]


@contextmanager
def steps() -> Iterator[Step]:
    """Yield what announces the next step; each ends when the next begins."""
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        def step(description: str) -> None:
            _finish(progress)
            progress.add_task(description, total=1)

        yield step
        _finish(progress)


def _finish(progress: Progress) -> None:
    for task in progress.task_ids:
        progress.update(task, completed=1)
