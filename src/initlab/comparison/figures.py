"""The curves of a `Comparison`, with bands over seeds: training loss, and what was measured on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from initlab.comparison.result import Comparison
from initlab.reporting import LineFigure, Series
from initlab.training.records import RunRecord


def loss_figure(result: Comparison) -> LineFigure:
    """Training loss: mean over seeds, band from the lowest to the highest."""
    return _curves(result, "Training loss", "training loss", lambda run: run.curve, log_y=True)


def measured_figure(result: Comparison) -> LineFigure | None:
    """Test accuracy (or loss) at the steps where it was measured; None where only the end was."""
    column = 2 if result.analysis.metric == "accuracy" else 1
    if all(len(run.tests) < 2 for run in result.runs):
        return None
    name = "test accuracy" if column == 2 else "test loss"
    return _curves(result, name.capitalize(), name, lambda run: run.tests[:, (0, column)], log_y=False)


def _curves(
    result: Comparison, title: str, label: str, of: Callable[[RunRecord], np.ndarray], *, log_y: bool
) -> LineFigure:
    series = []
    for arm in (summary.label for summary in result.summaries):
        curves = [c for run in result.of(arm) if len(c := of(run))]
        if not curves:
            continue
        steps, rows = _by_step(curves)
        series.append(
            Series(arm, steps, [r.mean() for r in rows], low=[r.min() for r in rows], high=[r.max() for r in rows])
        )
    note = "Line: mean over seeds. Band: from the lowest to the highest seed."
    return LineFigure(title, "step", label, tuple(series), log_y=log_y, note=note)


def _by_step(curves: Sequence[np.ndarray]) -> tuple[list[float], list[np.ndarray]]:
    """The steps at which every curve that got so far has a value, and the values there."""
    values = [dict(zip(curve[:, 0].tolist(), curve[:, 1].tolist(), strict=True)) for curve in curves]
    steps, rows = [], []
    for step in sorted({step for of in values for step in of}):
        there = [of.get(step) for of, curve in zip(values, curves, strict=True) if curve[-1, 0] >= step]
        known = [value for value in there if value is not None]
        if len(known) == len(there):
            steps.append(float(step))
            rows.append(np.array(known))
    return steps, rows
