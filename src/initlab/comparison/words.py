"""Scores, intervals, times and differences as tables and sentences show them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from initlab.comparison.times import TimeTo
from initlab.statistics import Interval
from initlab.training.records import LEFT_OUT


def counts_text(counts: Mapping[str, int]) -> str:
    """How many runs ended in which way.

    >>> counts_text({"finished": 3, "diverged": 2})
    '3, 2 diverged'
    """
    parts = [str(counts["finished"])] if counts.get("finished") else []
    parts += [f"{counts[status]} {status}" for status in ("diverged", *LEFT_OUT) if counts.get(status)]
    return ", ".join(parts)


def score_text(value: float, metric: str) -> str:
    """A score as tables show it: accuracies in percent."""
    if not math.isfinite(value):
        return "–"
    return f"{100 * value:.2f}%" if metric == "accuracy" else f"{value:.4g}"


def interval_text(interval: Interval, metric: str) -> str:
    """The interval's two ends; of accuracies in percent."""
    if not math.isfinite(interval.low):
        return "–"
    low, high = interval.low, interval.high
    if metric == "accuracy":
        return f"{100 * low:.2f} – {100 * high:.2f}"
    return f"{low:.4g} – {high:.4g}"


def time_text(time: TimeTo) -> str:
    """The median step, or 'more than N' where half of the runs never came to the loss."""
    if not time.runs:
        return "–"
    median = f"{time.median:,.0f}" if math.isfinite(time.median) else f"> {time.longest:,.0f}"
    return median if time.reached == time.runs else f"{median} ({time.reached} of {time.runs})"


def gap_text(value: float, metric: str) -> str:
    """A signed difference of scores; of accuracies in points of a percent."""
    shown = f"{100 * value:+.2f}" if metric == "accuracy" else f"{value:+.3g}"
    return shown.replace("-", "−")


def p_text(value: float) -> str:
    """A p value as tables show it."""
    return "p < 0.001" if value < 0.001 else f"p {value:.3f}"


def difference_text(value: float, metric: str) -> str:
    """A difference of scores in words: accuracies in points of a percent."""
    if metric != "accuracy":
        return f"{value:.3g}"
    return f"{100 * value:.0f} points" if abs(value) >= 0.1 else f"{100 * value:.2g} points"
