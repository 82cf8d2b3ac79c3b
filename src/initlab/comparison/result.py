"""What `compare` returns: the runs, the plans that were used, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from initlab.comparison.analysis import Analysis, ArmSummary, analyse
from initlab.errors import InputError, unknown
from initlab.reporting import Shown
from initlab.training.records import RunRecord

if TYPE_CHECKING:
    from initlab.planning import Plan
    from initlab.statistics import PairedTest


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Shown):
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
        if self.analysis.best is None:
            raise InputError("no run was finished, so there is no best scheme")
        return self.analysis.best.label

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


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C during `compare` or `search`. The message says how to go on.

    Args:
        result: what was done until then.
    """

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result
