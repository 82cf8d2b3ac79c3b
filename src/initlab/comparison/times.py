"""Steps until something happens in runs of which some end before it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TimeTo:
    """Steps until something happens in an arm's runs, some of which end before it does.

    Args:
        reached: runs in which it happened.
        runs: all runs.
        median: Kaplan-Meier median of the steps; infinite where half of the runs never came to it.
        longest: steps of the longest run, for "more than ..." where the median is infinite.
    """

    reached: int
    runs: int
    median: float
    longest: float


def kaplan_meier_median(times: Sequence[float], happened: Sequence[bool]) -> float:
    """The first time at which the Kaplan-Meier estimate of "not yet" is at most one half; inf if it never is.

    Args:
        times: steps until it happened, or until the run ended without it (censored).
        happened: which of the two.

    Source:
        Kaplan & Meier, Nonparametric estimation from incomplete observations (1958).

    >>> kaplan_meier_median([10, 20, 30, 40], [True, True, False, False])
    20.0
    """
    t, events = np.asarray(times, dtype=float), np.asarray(happened, dtype=bool)
    alive = 1.0
    for time in np.unique(t[events]):
        alive *= 1 - ((t == time) & events).sum() / (t >= time).sum()
        if alive <= 0.5 + 1e-12:
            return float(time)
    return math.inf


def first_at_most(curve: np.ndarray, level: float) -> float:
    """The step at which a (points, 2) curve first is at most `level`; inf if it never is."""
    below = np.flatnonzero(curve[:, 1] <= level)
    return float(curve[below[0], 0]) if len(below) else math.inf
