"""What `search` returns: every trial, the best of them, its score on the test data, what mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initlab.reporting import Shown

if TYPE_CHECKING:
    import optuna


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
class Search(Shown):
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
