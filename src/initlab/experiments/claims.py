"""Claims of the literature as data, and the stated tests that judge them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

Verdict = Literal["confirmed", "refuted", "inconclusive"]
Results = Mapping[str, Any]
LEVEL = 0.05


@dataclass(frozen=True)
class Judgement:
    """What a test said of a claim: the verdict, the numbers it rests on, and the rule that gave it."""

    verdict: Verdict
    numbers: str
    rule: str


@dataclass(frozen=True)
class Claim:
    """A sentence of the literature, where it stands, and the test that measured results put it to.

    Args:
        text: the claim in one sentence.
        source: who says so, with the year.
        test: measured results -> `Judgement`. It sees numbers only; it has no say in how they were made.
    """

    text: str
    source: str
    test: Callable[[Results], Judgement]


def exactly(holds: bool, numbers: str) -> Judgement:
    """A fact that needs no statistics, such as 'every gradient is zero': confirmed or refuted.

    >>> exactly(True, "0 of 500 gradients differ from 0").verdict
    'confirmed'
    """
    return Judgement("confirmed" if holds else "refuted", numbers, "exact count")


def mean_above(values: Sequence[float], bound: float, what: str, *, unit: str = "") -> Judgement:
    """'The mean of `values` is above `bound`', by its two-sided Student-t interval over the seeds.

    Confirmed when the whole 95% interval lies above the bound, refuted when it lies below, else inconclusive.

    >>> mean_above([1.0, 1.1, 0.9, 1.0], 0.5, "ratio").verdict
    'confirmed'
    """
    low, mean, high = t_interval(values)
    numbers = f"{what}: {mean:.4g}{unit} [{low:.4g}, {high:.4g}] over {len(values)} runs, against {bound:.4g}{unit}"
    return Judgement(_side(low - bound, high - bound), numbers, f"95% t interval over runs against {bound:.4g}")


def mean_below(values: Sequence[float], bound: float, what: str, *, unit: str = "") -> Judgement:
    """'The mean of `values` is below `bound`': the mirror of `mean_above`."""
    low, mean, high = t_interval(values)
    numbers = f"{what}: {mean:.4g}{unit} [{low:.4g}, {high:.4g}] over {len(values)} runs, against {bound:.4g}{unit}"
    return Judgement(_side(bound - high, bound - low), numbers, f"95% t interval over runs against {bound:.4g}")


def greater(
    first: Sequence[float], second: Sequence[float], what: str, *, least: float = 0.0, level: float = LEVEL
) -> Judgement:
    """'`first` exceeds `second` by more than `least`', paired over the seeds.

    Confirmed when the t interval of the mean paired difference at `level` lies above `least`, refuted when it lies
    below, else inconclusive. Non-finite values (diverged runs) must be mapped to a number by the caller, who
    says which.

    >>> greater([3.0, 3.1, 2.9], [1.0, 1.2, 1.1], "loss").verdict
    'confirmed'
    """
    difference = [a - b for a, b in zip(first, second, strict=True)]
    low, mean, high = t_interval(difference, level)
    numbers = (
        f"{what}: {np.mean(first):.4g} against {np.mean(second):.4g}, "
        f"difference {mean:.3g} [{low:.3g}, {high:.3g}] over {len(difference)} pairs"
    )
    rule = f"{100 * (1 - level):.4g}% t interval of the paired difference against {least:.3g}"
    return Judgement(_side(low - least, high - least), numbers, rule)


def within(values: Sequence[float], target: float, tolerance: float, what: str) -> Judgement:
    """'The mean of `values` equals `target`' within a stated tolerance (two one-sided tests by the 95% interval).

    >>> within([0.99, 1.01, 1.0, 1.0], 1.0, 0.1, "gain").verdict
    'confirmed'
    """
    low, mean, high = t_interval(values)
    numbers = (
        f"{what}: {mean:.4g} [{low:.4g}, {high:.4g}] over {len(values)} runs, against {target:.4g} ± {tolerance:.3g}"
    )
    verdict: Verdict = "inconclusive"
    if target - tolerance <= low and high <= target + tolerance:
        verdict = "confirmed"
    elif high < target - tolerance or low > target + tolerance:
        verdict = "refuted"
    return Judgement(verdict, numbers, f"95% t interval inside or outside {target:.4g} ± {tolerance:.3g}")


def trend(first: Sequence[float], second: Sequence[float], what: str, *, sign: int) -> Judgement:
    """'`second` rises (`sign` 1) or falls (-1) with `first`', by Spearman's rank correlation, two-sided at `LEVEL`.

    >>> trend([1, 2, 3, 4, 5, 6], [1, 4, 9, 16, 25, 36], "x against y", sign=1).verdict
    'confirmed'
    """
    rule = f"Spearman's rank correlation, two-sided at {LEVEL:g}"
    if len(first) < 4 or len(set(first)) < 2 or len(set(second)) < 2:
        return Judgement("inconclusive", f"{what}: {len(first)} pairs are too few or all equal", rule)
    rho, p = (float(value) for value in stats.spearmanr(first, second))
    numbers = f"{what}: ρ {rho:.2f}, p {p:.2g}, {len(first)} pairs"
    return Judgement(_side(sign * rho, sign * rho) if p < LEVEL else "inconclusive", numbers, rule)


def one_more_run(values: Sequence[float], printed: float, what: str) -> Judgement:
    """'`printed` is what one more run could give': inside the 95% prediction interval of `values`, or refuted.

    >>> one_more_run([0.97, 0.972, 0.971, 0.969], 0.9705, "accuracy").verdict
    'confirmed'
    """
    rule = "95% prediction interval of one more run (Student t)"
    data = np.asarray(values, dtype=float)
    if data.size < 2 or not np.isfinite(data).all():
        return Judgement("inconclusive", f"{what}: {data.size} runs, not all finite", rule)
    half = float(stats.t.ppf(1 - LEVEL / 2, data.size - 1) * data.std(ddof=1) * math.sqrt(1 + 1 / data.size))
    numbers = f"{what}: {data.mean():.4f}, one run within ± {half:.4f}, over {data.size} runs; printed {printed:.4f}"
    return Judgement("confirmed" if abs(float(data.mean()) - printed) <= half else "refuted", numbers, rule)


def only_full(why: str) -> Judgement:
    """What the small form says of a claim about a number that only MNIST has."""
    return Judgement("inconclusive", why, "only the full form can tell")


def every(parts: Sequence[Judgement]) -> Judgement:
    """A claim of several parts: confirmed when all are, refuted when one is, else inconclusive."""
    verdicts = [part.verdict for part in parts]
    verdict: Verdict = (
        "refuted" if "refuted" in verdicts else "inconclusive" if "inconclusive" in verdicts else "confirmed"
    )
    rules = list(dict.fromkeys(part.rule for part in parts))
    return Judgement(verdict, "; ".join(part.numbers for part in parts), " and ".join(rules))


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """(low, mean, high) of the mean's Student-t interval; a single or non-finite value has an unbounded one."""
    data = np.asarray(values, dtype=float)
    mean = float(data.mean()) if data.size else math.nan
    if data.size < 2 or not np.isfinite(data).all():
        return -math.inf, mean, math.inf
    half = float(stats.t.ppf(1 - level / 2, data.size - 1) * data.std(ddof=1) / math.sqrt(data.size))
    return mean - half, mean, mean + half


def _side(low: float, high: float) -> Verdict:
    return "confirmed" if low > 0 else "refuted" if high < 0 else "inconclusive"
