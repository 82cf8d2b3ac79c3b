"""How often training agrees with probabilities, and the bounds from which words are said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import f1_score

from benchmarks.verdict.cells import WORDS, Example
from initlab.inspection.verdict import FACTS

RIGHT, PASSED = 0.95, 0.04  # share of those called untrainable that are, and of the untrainable that may pass
MARGIN = 0.02  # what that first share once lost from architectures left out to ones that nobody had looked at
GRID = np.round(np.arange(0.01, 1.0, 0.01), 2)
COLUMNS = ("called untrainable are", "untrainable passed", "healthy accused", "uncertain", "Brier", "macro-F1")
Bounds = tuple[float, float]


def classes(some: Sequence[Example]) -> np.ndarray:
    return np.array([WORDS.index(e.word) for e in some])


def bounds_of(p: np.ndarray, some: Sequence[Example]) -> Bounds:
    """(probability of "untrainable" from which it is said, up to which healthy or slow is said) that reach the aims.

    The first is the smallest from which on, at every bound above it, `RIGHT` and a `MARGIN` of those called untrainable
    are; the second the largest up to which at most `PASSED` of the untrainable lie. Border cells are left out.
    """
    clear = np.array([not e.border for e in some])
    u, stuck = p[clear, 2], classes(some)[clear] == 2
    wrong = [float(bound) for bound in GRID if (u >= bound).any() and stuck[u >= bound].mean() < RIGHT + MARGIN]
    passed = [float(bound) for bound in GRID if (u[stuck] <= bound).mean() <= PASSED]
    least = min((float(bound) for bound in GRID if bound > max(wrong, default=0.0)), default=1.0)
    return least, min(max(passed, default=0.0), least)


def settled(some: Sequence[Example]) -> np.ndarray:
    """Of which examples a fact holds, so that `inspect` says untrainable."""
    return np.array([any(fact.holds(e.numbers) for fact in FACTS.values()) for e in some])


@dataclass(frozen=True)
class Figures:
    """How often training agrees, by the words that `inspect` says.

    Attributes:
        cells, untrainable: how many were judged, and did not train.
        right: share of those called untrainable that are.
        passed: share of the untrainable that are called healthy or slow.
        accused: share of the healthy that are called untrainable.
        uncertain: share that is called so.
        brier: mean square of the probability of "untrainable" less 1 or 0.
        f1: macro-F1 of the three words, each cell by its likeliest.
    """

    cells: int
    untrainable: int
    right: float
    passed: float
    accused: float
    uncertain: float
    brier: float
    f1: float

    def __str__(self) -> str:
        words = dict(zip(COLUMNS, (self.right, self.passed, self.accused, self.uncertain, self.brier, self.f1),
                         strict=True))  # fmt: skip
        shares = "  ".join(f"{name} {share:.3f}" for name, share in words.items())
        return f"cells {self.cells}  untrainable {self.untrainable}  {shares}"


def figures_of(some: Sequence[Example], p: np.ndarray, bounds: Bounds) -> Figures:
    """A fact settles the word, whatever the bounds. Border cells are left out of shares of right and wrong."""
    clear = np.array([not e.border for e in some])
    truth, u = classes(some), p[:, 2]
    stuck, healthy = (truth == 2) & clear, (truth == 0) & clear
    called = settled(some) | (u >= bounds[0])
    unsure = ~called & (u > bounds[1])
    return Figures(
        cells=len(some),
        untrainable=int((truth == 2).sum()),
        right=_share(stuck, called & clear),
        passed=_share(~called & (u <= bounds[1]), stuck),
        accused=_share(called, healthy),
        uncertain=float(unsure.mean()),
        brier=float(np.mean((u - (truth == 2)) ** 2)),
        f1=float(f1_score(truth, p.argmax(1), labels=range(len(WORDS)), average="macro")),
    )


def _share(what: np.ndarray, among: np.ndarray) -> float:
    return float(what[among].mean()) if among.any() else math.nan
