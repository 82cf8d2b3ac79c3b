"""What a person sees while runs train: a live table on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from initlab.errors import check_flags

if TYPE_CHECKING:
    from rich.console import RenderableType

    from initlab.training.group import Training
    from initlab.training.records import RunRecord

MOST_ROWS = 15


class Watch(Protocol):
    """Told what happens; shows it or not."""

    def training(self, training: Training, steps: int) -> None:
        """A stretch has been trained; `steps` optimizer steps in all so far."""

    def over(self, record: RunRecord) -> None:
        """A run has ended, here or in another worker."""

    def say(self, line: str) -> None:
        """Something worth a line, such as what the engine chose."""

    def close(self) -> None:
        """Stop showing. Safe to call twice."""


class Quiet:
    """Shows nothing."""

    def training(self, training: Training, steps: int) -> None: ...

    def over(self, record: RunRecord) -> None: ...

    def say(self, line: str) -> None: ...

    def close(self) -> None: ...


class Live:
    """A table on stderr: for each arm the runs done and the training loss so far, and the time left.

    Args:
        total_steps: optimizer steps of all runs that are still to do.
        arms: label -> number of its runs.
    """

    def __init__(self, total_steps: int, arms: Mapping[str, int]) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self.total = max(total_steps, 1)
        self.runs = dict(arms)
        self.ended: dict[str, int] = dict.fromkeys(arms, 0)
        self.losses: dict[str, float] = {}
        self.steps = 0
        self.line = ""
        self.started = time.monotonic()
        self._drawn = 0.0
        self._live = RichLive(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()

    def training(self, training: Training, steps: int) -> None:
        from initlab.training.records import mean_losses

        self.steps = steps
        self.losses.update(mean_losses(training.keepers.values()))
        self._draw()

    def over(self, record: RunRecord) -> None:
        self.ended[record.arm] = self.ended.get(record.arm, 0) + 1
        if len(record.curve):
            self.losses.setdefault(record.arm, float(record.curve[-1, 1]))
        self._draw()

    def say(self, line: str) -> None:
        self.line = line
        self._draw()

    def close(self) -> None:
        self._live.stop()

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn > 0.2:
            self._drawn = now
            self._live.update(self._table(), refresh=True)

    def _table(self) -> RenderableType:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        from initlab.reporting import clean

        share = min(1.0, self.steps / self.total)
        spent = time.monotonic() - self.started
        left = f", about {duration(spent * (1 - share) / share)} left" if share > 0.02 else ""
        title = Text(clean(f"{100 * share:.0f}% of {self.total:,} steps{left}"))
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, caption=Text(clean(self.line)))
        for name in ("scheme", "runs", "loss so far"):
            table.add_column(name)
        for label in list(self.runs)[:MOST_ROWS]:
            loss = self.losses.get(label)
            shown = "–" if loss is None else f"{loss:.4g}"
            table.add_row(Text(clean(label, 60)), f"{self.ended[label]} of {self.runs[label]}", shown)
        if len(self.runs) > MOST_ROWS:
            table.add_row(f"… {len(self.runs) - MOST_ROWS} more", "", "")
        return table


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(8), duration(200), duration(7300)
    ('8 s', '3 min', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def watch_for(progress: bool | None, total_steps: int, arms: Mapping[str, int]) -> Watch:
    """A live table if asked for, or where stderr is a terminal and nothing was asked."""
    wanted: Any = sys.stderr.isatty() if progress is None else progress
    check_flags(progress=wanted)
    return Live(total_steps, arms) if wanted else Quiet()
