"""How often training agrees with the verdict, on architectures that the trees never saw; from recorded cells.

python -m benchmarks.verdict             # leave architectures out, folds, over those that may be tuned on
python -m benchmarks.verdict --test      # fitted on those, scored on the architectures held out
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from benchmarks.verdict.cells import Example, architecture_of, examples, held_out, read, stable_up_to
from benchmarks.verdict.fit import (
    TRAINS,
    UNTRAINABLE,
    classes,
    facts_of,
    fitted,
    left_out,
    names_of,
    predicted,
    tempered,
)
from initlab.inspection.line import FLAT


def row(name: str, some: Sequence[Example], p: np.ndarray) -> str:
    """One line of figures; border cells are left out of shares of right and wrong."""
    clear = np.array([not e.border for e in some])
    truth, u = classes(some), p[:, 2]
    stuck, healthy = (truth == 2) & clear, (truth == 0) & clear
    called, unsure = u >= UNTRAINABLE, (u < UNTRAINABLE) & (u > TRAINS)
    brier, f1 = float(np.mean((u - (truth == 2)) ** 2)), f1_score(truth, p.argmax(1), average="macro")
    figures = {
        "cells": len(some), "untrainable": int((truth == 2).sum()),
        "called untrainable are": _share(stuck, called & clear), "untrainable passed": _share(u <= TRAINS, stuck),
        "healthy accused": _share(called, healthy), "uncertain": float(unsure.mean()), "Brier": brier, "macro-F1": f1,
    }  # fmt: skip
    return f"{name:28} " + "  ".join(f"{k} {v}" if isinstance(v, int) else f"{k} {v:.3f}" for k, v in figures.items())


def _share(what: np.ndarray, among: np.ndarray) -> float:
    return float(what[among].mean()) if among.any() else math.nan


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


def tuned_on(lines: Sequence[Mapping[str, Any]]) -> None:
    lines = [line for line in lines if not held_out(architecture_of(line))]
    best, given = examples(lines)
    facts = facts_of(best)
    print(f"facts: {facts}")
    for name, some, about in (("best rate", best, False), ("a given rate", given, True)):
        for line in (True, False):
            names = names_of(line, about)
            p = tempered(left_out(some, names, facts), some)[0]
            print(row(f"{name}{', line' if line else ''}", some, p))
            library = np.array([e.kind == "library" for e in some])
            if line and library.any():
                print(row("  library models among them", [e for e in some if e.kind == "library"], p[library]))
    print(window(lines))


def tested(lines: Sequence[Mapping[str, Any]]) -> None:
    known = examples(line for line in lines if not held_out(architecture_of(line)))
    apart = [line for line in lines if held_out(architecture_of(line))]
    unseen = examples(apart)
    facts = facts_of(known[0])
    for name, train, test, about in zip(("best rate", "a given rate"), known, unseen, (False, True), strict=True):
        for line in (True, False):
            names = names_of(line, about)
            temperature = tempered(left_out(train, names, facts), train)[1]
            p = predicted(fitted(train, names, temperature), test, facts)
            print(row(f"{name}{', line' if line else ''}", test, p))
            library = np.array([e.kind == "library" for e in test])
            if line and library.any():
                print(row("  library models among them", [e for e in test if e.kind == "library"], p[library]))
    print(window(apart))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", action="store_true", help="the held-out architectures, instead of the others")
    asked, _ = parser.parse_known_args()
    tested(read()) if asked.test else tuned_on(read())
