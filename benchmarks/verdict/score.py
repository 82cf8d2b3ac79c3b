"""How often training agrees with the shipped trees on the architectures held out; from recorded cells.

python -m benchmarks.verdict             # `fit` tells the same of the others, each left out in its turn
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.verdict.cells import WORDS, Example, architecture_of, examples, held_out, read, stable_up_to
from benchmarks.verdict.figures import row
from benchmarks.verdict.fit import predicted
from initlab.inspection.line import FLAT
from initlab.inspection.trees import calibration


def window(lines: Sequence[Mapping[str, Any]]) -> str:
    """The largest stable rate of the line against that of training: the largest whose training learned something."""
    known = {e.cell: e for e in examples(lines)[0] if e.word != "untrainable"}
    apart = []
    for line in lines:
        stable = [float(lr) for lr, loss, *_ in line["line"] or () if loss is not None and _lowers(line["start"], loss)]
        ends = {float(lr): end[0] for lr, end in line["finals"].items() if end[0] is not None}
        trained = [lr for lr, end in ends.items() if end < 0.9 * line["constant"]]
        if line["cell"] in known and stable and trained:
            apart.append(abs(math.log10(min(max(stable), stable_up_to(line)) / max(trained))))
    near = sum(a < 1.01 for a in apart) / max(1, len(apart))
    return f"largest stable rate: within a decade in {near:.3f} of {len(apart)} cells that train"


def _lowers(start: float, loss: float) -> bool:
    return start - loss > FLAT * abs(start)


def scored(name: str, some: Sequence[Example], *, given: bool, line: bool) -> str:
    trees, facts = calibration().trees(given=given, line=line), calibration().facts
    found = [trees.probability(e.numbers) for e in some]
    p = predicted(np.array([[each[word] for word in WORDS] for each in found]), some, facts)
    return row(name, some, p, (trees.untrainable, trees.trains))


def main() -> None:
    lines = [line for line in read() if held_out(architecture_of(line))]
    best, given = examples(lines)
    for line in (True, False):
        words = ", line" if line else ""
        print(scored(f"best rate{words}", best, given=False, line=line))
        print(scored(f"a given rate{words}", given, given=True, line=line))
    for kind in ("drawn", "wired"):
        some = [e for e in best if (e.kind == "drawn") == (kind == "drawn")]
        print(scored(f"  {kind} among them", some, given=False, line=True))
    print(window(lines))
