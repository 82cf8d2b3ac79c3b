"""How often training agrees with the shipped trees on the architectures held out; from recorded cells.

python -m benchmarks.verdict             # `fit` tells the same of the others, each left out in its turn
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.verdict.cells import (
    WORDS,
    Example,
    architecture_of,
    examples,
    held_out,
    read,
    stable_up_to,
)
from benchmarks.verdict.figures import Figures, figures_of
from benchmarks.verdict.fit import predicted
from benchmarks.verdict.library_architectures import KIND as LIBRARY
from initlab.inspection.line import FLAT
from initlab.inspection.trees import calibration


@functools.cache
def _lines() -> tuple[dict[str, Any], ...]:
    return tuple(line for line in read() if held_out(architecture_of(line)))


def held_out_figures() -> dict[str, Figures]:
    """About the best rate and about a given one, with and without the line; of models of libraries alone."""
    best, given = examples(_lines())
    figures = {
        "best rate, line": scored(best, given=False, line=True),
        "models of libraries among them": scored([e for e in best if e.kind == LIBRARY], given=False, line=True),
        "best rate, no line": scored(best, given=False, line=False),
        "a given rate, line": scored(given, given=True, line=True),
        "a given rate, no line": scored(given, given=True, line=False),
    }
    return figures


def left_out_figures() -> dict[str, Figures]:
    """Of the architectures fitted to, each left out in its turn, as the fit stored them."""
    return {name: Figures(**figures) for name, figures in calibration().left_out.items()}


def window() -> tuple[float, int]:
    """(share of the cells that train of which the largest stable rate is within a decade, how many they are).

    Of training it is the largest whose training learned something.
    """
    lines = _lines()
    known = {e.cell: e for e in examples(lines)[0] if e.word != "untrainable"}
    apart = []
    for line in lines:
        stable = [float(lr) for lr, loss, *_ in line["line"] or () if loss is not None and _lowers(line["start"], loss)]
        ends = {float(lr): end[0] for lr, end in line["finals"].items() if end[0] is not None}
        trained = [lr for lr, end in ends.items() if end < 0.9 * line["constant"]]
        if line["cell"] in known and stable and trained:
            apart.append(abs(math.log10(min(max(stable), stable_up_to(line)) / max(trained))))
    return sum(a < 1.01 for a in apart) / max(1, len(apart)), len(apart)


def _lowers(start: float, loss: float) -> bool:
    return start - loss > FLAT * abs(start)


def scored(some: Sequence[Example], *, given: bool, line: bool) -> Figures:
    trees, facts = calibration().trees(given=given, line=line), calibration().facts
    found = [trees.probability(e.numbers) for e in some]
    p = predicted(np.array([[each[word] for word in WORDS] for each in found]), some, facts)
    return figures_of(some, p, (trees.untrainable, trees.trains))


def main() -> None:
    for name, figures in held_out_figures().items():
        print(f"{name:32} {figures}")
    share, cells = window()
    print(f"largest stable rate: within a decade in {share:.3f} of {cells} cells that train")
