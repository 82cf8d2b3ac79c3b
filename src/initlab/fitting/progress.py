"""A progress bar for long fits: quiet unless asked for, and never in the way of a pipe."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

Step = Callable[[str], None]


@contextlib.contextmanager
def progress_bar(title: str, total: int, shown: bool, done: int = 0) -> Iterator[Step]:
    """Yields `step(text)`, which moves the bar on by one and shows `text` beside it.

    Args:
        title: what is being done.
        total: how many steps there are.
        shown: False for silence.
        done: steps that an earlier run has made.

    >>> with progress_bar("fit", 2, shown=False) as step:
    ...     step("epoch 1")
    """
    if not shown:
        yield lambda text: None
        return
    # lazy: rich costs time, and only a bar needs it
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # lazy: as above

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done)

        def step(text: str) -> None:
            bar.update(task, advance=1, description=f"{title}: {text}")

        yield step
