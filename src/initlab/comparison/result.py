"""What `compare` returns: the runs, the plans that were used, and what they add up to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initlab.comparison.analysis import Analysis, ArmSummary, analyse
from initlab.errors import InputError, unknown
from initlab.training.records import RunRecord

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from initlab.planning import Plan
    from initlab.reporting import Table
    from initlab.statistics import PairedTest


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """The alternatives trained side by side. `print(result)` is the table; `result.save("compare.html")` the report.

    Args:
        runs: one record a run, in the order of arms and seeds.
        arms: labels of the alternatives, in the order in which they were asked for.
        plans: scheme label -> the plan that its runs were written by.
        settings: what every run shared, for the reader.
        engine: how the runs were trained, in a line.
        missing: keys of runs that were asked for and are not done (after an interruption).
        notes: remarks from before and during training: what was stopped, when and why; data; planning.
        target_loss: the training loss that steps are counted to; None takes the median of the arms' final losses.
        level: family-wise level of the tests: 0.05, less where a race looked often.
        run_steps: optimizer steps that were trained by this call.
        seconds: wall time of this call.
    """

    runs: tuple[RunRecord, ...]
    arms: tuple[str, ...]
    plans: Mapping[str, Plan] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    engine: str = ""
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    target_loss: float | None = None
    level: float = 0.05
    run_steps: int = 0
    seconds: float = 0.0

    @cached_property
    def analysis(self) -> Analysis:
        """Summaries, paired tests and warnings."""
        return analyse(self.runs, self.arms, self.target_loss, self.level)

    @property
    def best(self) -> str:
        """Label of the arm with the best mean score; whether that is beyond chance, `tests` says.

        Raises:
            InputError: no run was finished.
        """
        if not self.analysis.arms or not self.analysis.arms[0].counts.get("finished"):
            raise InputError("no run was finished, so there is no best scheme")
        return self.analysis.arms[0].label

    @property
    def summaries(self) -> tuple[ArmSummary, ...]:
        """One summary an arm, best first."""
        return self.analysis.arms

    @property
    def tests(self) -> tuple[PairedTest, ...]:
        """A paired test for each two arms, Holm-corrected together."""
        return self.analysis.tests

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader should know before believing the table."""
        missing = (f"{len(self.missing)} runs are missing: the study was interrupted",) if self.missing else ()
        return (*missing, *self.analysis.warnings, *self.notes)

    def of(self, arm: str) -> tuple[RunRecord, ...]:
        """The runs of one arm, by seed.

        Raises:
            InputError: no such arm (with the nearest labels).
        """
        if arm not in self.arms:
            raise unknown("arm", arm, self.arms)
        return tuple(run for run in self.runs if run.arm == arm)

    def table(self) -> Table:
        """The results table: `print(result)` shows it with the warnings."""
        from initlab.comparison.view import results_table

        return results_table(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a run."""
        import pandas as pd

        from initlab.comparison.view import run_row

        return pd.DataFrame([run_row(run) for run in self.runs])

    def figure(self) -> go.Figure:
        """Training loss against the step, mean over seeds with their range, as a plotly Figure."""
        from initlab.comparison.view import loss_figure
        from initlab.reporting import to_plotly

        return to_plotly(loss_figure(self))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report: `.html` for people, `.json` for machines.

        Raises:
            InputError: another ending, or a path that cannot be written.
        """
        from initlab.comparison.view import page, to_dict
        from initlab.reporting import save_result

        return save_result(path, lambda: page(self), lambda: to_dict(self))

    def text(self, width: int = 80) -> str:
        """The result for a terminal of `width` columns."""
        from initlab.comparison.view import text

        return text(self, width)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from initlab.comparison.view import html

        return html(self)


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C during `compare` or `search`. The message says how to go on.

    Args:
        result: what was done until then.
    """

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result
