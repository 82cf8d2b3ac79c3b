"""A sign of life on a terminal's stderr, once a piece of work has taken two seconds."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

from initlab.cli import output
from initlab.reporting import clean
from initlab.rng import random_states_kept

PATIENCE = 2.0  # seconds


class Work:
    """What is being done: a line about it, shown above the moving one."""

    def __init__(self, title: str, shown: bool) -> None:
        self._lock = threading.Lock()
        self._bar: Any = None
        self._over = False
        self._timer: threading.Timer | None = None
        if shown:
            self._bar = _bar(title)
            self._timer = threading.Timer(PATIENCE, self._begin)
            self._timer.daemon = True
            self._timer.start()

    def note(self, line: str) -> None:
        """One line on stderr that stays."""
        with self._lock:
            if self._bar is not None and self._bar.live.is_started:
                self._bar.console.print(clean(line, 1000))
            else:
                output.note(line)

    def end(self) -> None:
        """Clear the moving line. Safe to call twice."""
        with self._lock:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()
            if self._bar is not None:
                self._bar.stop()

    def _begin(self) -> None:
        with self._lock:
            if not self._over:
                self._bar.start()


@contextlib.contextmanager
def working(title: str, *, as_json: bool) -> Iterator[Work]:
    """While the work lasts: a moving line with `title` and the time, on a terminal and not where JSON is asked for.

    >>> with working("counting", as_json=True) as work:
    ...     sum(range(10))
    45
    """
    work = Work(clean(title, 200), shown=sys.stderr.isatty() and not as_json)
    try:
        yield work
    finally:
        work.end()


def _bar(title: str) -> Any:
    with random_states_kept():  # rich draws link ids from Python's global generator when it is first imported
        # lazy: rich costs time, and only a terminal needs it
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        from initlab.reporting.terminal import make_console  # lazy: as above

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        bar = Progress(
            *columns, console=make_console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
        )
        bar.add_task(title, total=None)
    return bar
