"""Progress on stderr, so that what a program reads from stdout stays clean; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def progress_bar(label: str, total: int | None = None) -> Iterator[Progress]:
    """Show one bar with its count and elapsed time; `advance(progress, n)` moves it, no `total` gives a spinner."""
    console = Console(stderr=True)
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    if total is not None:
        columns.insert(3, MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        progress.add_task(label, total=total)
        yield progress


def advance(progress: Progress, steps: int = 1, label: str | None = None) -> None:
    """Move the bar and, when `label` is given, rename what is going on."""
    task = progress.task_ids[0]
    progress.update(task, advance=steps)
    if label is not None:
        progress.update(task, description=label)
