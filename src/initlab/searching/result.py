"""What `search` returns: every trial, the best of them, its score on the test data, what mattered."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    import plotly.graph_objects as go

    from initlab.reporting import Table


@dataclass(frozen=True)
class TrialRecord:
    """One trial as it ended.

    Args:
        number: its number in the study.
        params: what was chosen.
        state: "COMPLETE" or "PRUNED".
        value: best validation accuracy (or loss); nan for a pruned trial.
        steps: optimizer steps it did.
        best_step: the step of its best validation score.
        reason: why it ended early or was refused.
        curve: check -> validation score.
        screened: refused by `inspect` before its first step.
        distributions: parameter -> the law it was drawn from, as Optuna writes it.
        sampler: what Optuna's sampler and pruner noted of it.
    """

    number: int
    params: Mapping[str, Any]
    state: str
    value: float
    steps: int
    best_step: int
    reason: str
    curve: Mapping[int, float]
    screened: bool = False
    distributions: Mapping[str, str] = field(default_factory=dict)
    sampler: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Names the trial's run within its study."""
        return trial_key(self.number)

    def score(self, maximize: bool) -> float:
        """Higher is better."""
        return self.value if maximize else -self.value

    def to_dict(self) -> dict[str, Any]:
        """The record in what JSON holds."""
        return dict(self.__dict__)


def trial_key(number: int) -> str:
    """The key of a trial's run.

    >>> trial_key(3)
    'trial 3'
    """
    return f"trial {number}"


def trial_record(values: Mapping[str, Any]) -> TrialRecord:
    """The record whose `to_dict` gave `values` (after JSON too)."""
    return TrialRecord(**{**values, "curve": {int(check): value for check, value in values["curve"].items()}})


@dataclass(frozen=True, repr=False, eq=False)
class Search:
    """A search over schemes and learning rates. `print(result)` is a summary; `result.save("search.html")` the report.

    Args:
        trials: every trial that ended, by number.
        metric: "accuracy" or "loss": what validation scores are.
        best: the trial with the best validation score; None where none was complete.
        policy: the best trial's policy, ready for `initlab.init_(model, result.policy)`.
        lr, weight_decay: the best trial's.
        test_loss, test_accuracy: of the best trial, trained again to its best step; nan where not measured.
        importances: parameter -> fANOVA importance over the complete trials.
        space: what was searched.
        settings: what every trial shared.
        engine: how they were trained.
        notes: remarks: what screening refused, remarks on the data.
        run_steps: optimizer steps trained by this call, without the final test.
        seconds: wall time of this call.
        study: the Optuna study itself, for Optuna's own plots.
    """

    trials: tuple[TrialRecord, ...]
    metric: str
    best: TrialRecord | None
    policy: Any
    lr: float | None
    weight_decay: float
    test_loss: float
    test_accuracy: float
    importances: Mapping[str, float]
    space: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    engine: str = ""
    notes: tuple[str, ...] = ()
    run_steps: int = 0
    seconds: float = 0.0
    study: optuna.Study | None = None

    @property
    def best_params(self) -> dict[str, Any]:
        """The best trial's choices; empty where no trial was complete."""
        return {} if self.best is None else dict(self.best.params)

    @property
    def best_value(self) -> float:
        """The best validation score; nan where no trial was complete."""
        return math.nan if self.best is None else self.best.value

    @property
    def test_score(self) -> float:
        """The best trial's accuracy (or loss) on the test data."""
        return self.test_accuracy if self.metric == "accuracy" else self.test_loss

    def table(self) -> Table:
        """The best trials."""
        from initlab.searching.view import trials_table

        return trials_table(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a trial."""
        import pandas as pd

        from initlab.searching.view import trial_row

        return pd.DataFrame([trial_row(trial) for trial in self.trials])

    def figure(self) -> go.Figure:
        """The validation score of every trial and the best so far: Optuna's plot, a plotly Figure."""
        from initlab.searching.plots import history

        return history(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report: `.html` for people, `.json` for machines.

        Raises:
            InputError: another ending, or a path that cannot be written.
        """
        from initlab.reporting import save_result
        from initlab.searching.view import page, to_dict

        return save_result(path, lambda: page(self), lambda: to_dict(self))

    def text(self, width: int = 80) -> str:
        """The result for a terminal of `width` columns."""
        from initlab.searching.view import text

        return text(self, width)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from initlab.searching.view import html

        return html(self)
