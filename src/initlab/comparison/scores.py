"""What a run scores: its accuracy or its loss on the test data; one that diverged scores as the worst of all."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from initlab.training.records import RunRecord


def higher(metric: str) -> int:
    """What a score is multiplied by so that the higher is the better."""
    return 1 if metric == "accuracy" else -1


def worst_score(metric: str, losses: Iterable[float], curves: Iterable[np.ndarray]) -> float:
    """What a run that diverged scores: accuracy 0, or the largest loss that any run ended with or began with.

    What it went through on its way to no number is not counted: that may be any number.

    Args:
        metric: "accuracy" or "loss".
        losses: on the test data, of the runs that did not diverge; what is not finite does not count.
        curves: every run's training curve, (points, 2): step and mean loss.

    Returns:
        The score; nan where no loss is known.

    >>> curve = np.array([[10, 2.5], [20, 0.3]])
    >>> worst_score("loss", [0.2, math.nan], [curve]), worst_score("accuracy", [0.2], [curve])
    (2.5, 0.0)
    """
    if metric == "accuracy":
        return 0.0
    began = (float(curve[0, 1]) for curve in curves if len(curve))
    return max((loss for loss in (*losses, *began) if math.isfinite(loss)), default=math.nan)


def worst_of(runs: Iterable[RunRecord], metric: str) -> float:
    """What a run that diverged scores among runs that have ended."""
    listed = list(runs)
    return worst_score(metric, [run.loss for run in listed], [run.curve for run in listed])


def score_of(run: RunRecord, metric: str, worst: float) -> float:
    """What a run scored at its end; nan for one that was not run out."""
    if run.status == "diverged":
        return worst
    value = run.accuracy if metric == "accuracy" else run.loss
    return worst if run.status == "finished" and not math.isfinite(value) else value
