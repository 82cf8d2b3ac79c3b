"""Calibrates the verdict on the recorded cells and writes what `inspect` reads: one command, some minutes.

The same cells give the same file, byte for byte; the file says which cells and which scikit-learn it was made from.

    python -m benchmarks.verdict.fit            # writes src/initlab/inspection/calibration.json

Trees with random thresholds (Geurts, Ernst & Wehenkel 2006), once about the best rate and once about a given one, each
with and without what the line probe measures. Each fold of architectures is left out in its turn: a temperature makes
the probabilities of those left out right, and the bounds of the words are those that reach the aims on them
(`figures.bounds_of`). Held-out architectures are never fitted to.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import GroupKFold

import initlab
from benchmarks.verdict.cells import (
    ONCE_HELD_OUT,
    WORDS,
    Example,
    architecture_of,
    examples,
    fingerprint,
    held_out,
    read,
)
from benchmarks.verdict.figures import Bounds, Figures, bounds_of, classes, figures_of
from initlab.inspection.features import OF_LINE, OF_LINE_AT_RATE, OF_PASS, OF_PASS_AT_RATE
from initlab.inspection.trees import LEAST, SCALE, Ensemble, ensemble_of
from initlab.inspection.verdict import FACTS

OUT = Path(initlab.__file__).with_name("inspection") / "calibration.json"
TREES = {"best": 100, "given": 40}
LEAF = {"best": 4, "given": 10}  # fewest examples at a leaf; at each of its rates a cell is an example
AMONG = 0.5  # of the features, from which each split is chosen
LIBRARY_WEIGHT = 3.0  # library models count most
FOLDS = 6
TEMPERATURES = np.geomspace(0.5, 3.0, 40)


def names_of(line: bool, given: bool) -> list[str]:
    """The features that an ensemble reads."""
    groups = [OF_PASS, *([OF_LINE] if line else []), *([OF_PASS_AT_RATE] if given else [])]
    groups += [OF_LINE_AT_RATE] if line and given else []
    return [feature.name for group in groups for feature in group]


def matrix(some: Sequence[Example], names: Sequence[str]) -> np.ndarray:
    return np.array([[e.numbers[name] for name in names] for e in some], dtype=float)


@dataclass(frozen=True)
class Fitted:
    """Trees of scikit-learn, and what stands in for a number that is not known."""

    model: ExtraTreesClassifier
    usual: np.ndarray
    weights: np.ndarray

    def filled(self, x: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(x), x, self.usual)


def fitted(some: Sequence[Example], names: Sequence[str]) -> Fitted:
    x = matrix(some, names)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that is known of no cell
        usual = np.nan_to_num(np.nanmedian(x, axis=0))
    x = np.where(np.isfinite(x), x, usual)
    weights = np.array([(LIBRARY_WEIGHT if e.kind == "library" else 1.0) * (0.3 if e.border else 1.0) for e in some])
    about = "given" if "rate" in names else "best"
    model = ExtraTreesClassifier(
        n_estimators=TREES[about], min_samples_leaf=LEAF[about], max_features=AMONG, random_state=0
    ).fit(x, classes(some), weights)
    return Fitted(model, usual, weights)


def exported(some: Sequence[Example], names: Sequence[str], temperature: float, bounds: Bounds) -> dict[str, Any]:
    """The ensemble of those examples, as `inspect` reads it."""
    found = fitted(some, names)
    nodes: dict[str, list[Any]] = {"roots": [], "feature": [], "threshold": [], "right": [], "shares": []}
    for one in found.model.estimators_:
        nodes["roots"].append(len(nodes["feature"]))
        for key, values in _nodes(one.tree_).items():
            nodes[key] += values
    data = {"features": list(names), "usual": [float(f"{v:.5g}") for v in found.usual], "classes": list(WORDS),
            "temperature": temperature, "untrainable": bounds[0], "trains": bounds[1], **nodes}  # fmt: skip
    _check(ensemble_of({**data, "temperature": 1.0}), found.model, some, found.filled(matrix(some, names)))
    return data


def _nodes(tree: Any) -> dict[str, list[Any]]:
    """The nodes of a tree of scikit-learn, which stand in the order that `trees.ensemble_of` reads."""
    inner = np.flatnonzero(tree.children_left >= 0)
    assert (tree.children_left[inner] == inner + 1).all()
    return {
        "feature": np.where(tree.children_left >= 0, tree.feature, -1).tolist(),
        "threshold": [float(f"{v:.4g}") for v in tree.threshold[inner]],
        "right": (tree.children_right[inner] - inner).tolist(),
        "shares": np.rint(SCALE * tree.value[:, 0, :-1]).astype(int).ravel().tolist(),
    }


def _check(ours: Ensemble, theirs: ExtraTreesClassifier, some: Sequence[Example], x: np.ndarray) -> None:
    """That the exported trees say what scikit-learn's do, but for rounding."""
    wanted = theirs.predict_proba(x[:50])
    found = np.array([[ours.probability(e.numbers)[word] for word in WORDS] for e in some[:50]])
    assert np.median(np.abs(found - wanted)) < 1e-2, np.abs(found - wanted).max()


def predicted(free: np.ndarray, some: Sequence[Example], facts: dict[str, float]) -> np.ndarray:
    """Probabilities of the three words: those of the trees, and of the facts where one holds."""
    held = np.array([max([facts[n] for n, fact in FACTS.items() if fact.holds(e.numbers)], default=0.0) for e in some])
    settled = np.stack([np.zeros(len(held)), 1.0 - held, held], 1)
    return np.where(held[:, None] > 0, settled, free)


def facts_of(some: Sequence[Example]) -> dict[str, float]:
    """Share of the cells that a fact holds of and that did not train, by Laplace's rule."""
    shares = {}
    for name, fact in FACTS.items():
        held = [e.word == "untrainable" for e in some if fact.holds(e.numbers)]
        shares[name] = round((sum(held) + 1) / (len(held) + 2), 4)
    return shares


def left_out(some: Sequence[Example], names: Sequence[str]) -> np.ndarray:
    """Probabilities of every example by trees that never saw its architecture."""
    groups = [e.architecture for e in some]
    result = np.zeros((len(some), len(WORDS)))
    for train, test in GroupKFold(min(FOLDS, len(set(groups)))).split(groups, groups=groups):
        found = fitted([some[i] for i in train], names)
        result[test] = found.model.predict_proba(found.filled(matrix([some[i] for i in test], names)))
    return result


def tempered(probability: np.ndarray, some: Sequence[Example]) -> tuple[np.ndarray, float]:
    """Probabilities of architectures left out at the temperature under which they are likeliest, and that."""
    logs, truth = np.log(np.clip(probability, LEAST, None)), classes(some)
    tried = {float(t): _softmax(logs / t) for t in TEMPERATURES}
    likely = {t: float(np.log(np.clip(p, 1e-3, None))[np.arange(len(truth)), truth].mean()) for t, p in tried.items()}
    best = max(likely, key=lambda t: likely[t])
    return tried[best], round(best, 3)


def _softmax(margins: np.ndarray) -> np.ndarray:
    powers = np.exp(margins - margins.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def never_failed(some: Sequence[Example]) -> set[str]:
    """The facts of which no cell that they hold of trained: such cells teach the trees nothing."""
    return {n for n, fact in FACTS.items() if all(e.word == "untrainable" for e in some if fact.holds(e.numbers))}


def calibrated(best: Sequence[Example], given: Sequence[Example]) -> dict[str, Any]:
    """What `inspect` reads, from these examples, and what is reached on architectures left out."""
    facts, sure = facts_of(best), [FACTS[name] for name in never_failed(best)]
    ensembles: dict[str, Any] = {}
    reached: dict[str, Any] = {}
    for about, some in (("best", best), ("given", given)):
        free = np.array([not any(fact.holds(e.numbers) for fact in sure) for e in some])
        taught = [e for e, one in zip(some, free, strict=True) if one]
        for line in (True, False):
            name, names = about + (", line" if line else ""), names_of(line, about == "given")
            p = np.zeros((len(some), len(WORDS)))
            p[free], temperature = tempered(left_out(taught, names), taught)
            p = predicted(p, some, facts)
            bounds = bounds_of(p, some)
            ensembles[name] = exported(taught, names, temperature, bounds)
            figures = figures_of(some, p, bounds)
            reached[name] = _stored(figures)
            if name == "best, line":
                once = np.array([e.architecture in ONCE_HELD_OUT for e in some])
                part = [e for e, one in zip(some, once, strict=True) if one]
                reached[f"{name}, once held out"] = _stored(figures_of(part, p[once], bounds))
            print(f"{name:12} {figures}  temperature {temperature}  bounds {bounds}", flush=True)
    made = {"cells sha256": fingerprint(), "scikit-learn": sklearn.__version__}
    return {"cells": len(best), "made from": made, "facts": facts, "left out": reached, "ensembles": ensembles}


def _stored(figures: Figures) -> dict[str, float]:
    return {name: v if isinstance(v, int) else round(v, 4) for name, v in asdict(figures).items()}


def main() -> None:
    best, given = examples(line for line in read() if not held_out(architecture_of(line)))
    data = calibrated(best, given)
    OUT.write_text(json.dumps(data, separators=(",", ":")) + "\n")
    print(f"{OUT}: {len(best)} cells, {len(given)} with a rate; facts {data['facts']}")


if __name__ == "__main__":
    main()
