"""A small ensemble of decision trees, read from JSON: class probabilities, and how much each number moved them.

Each tree tells the shares of the classes among the recorded cells that came to the leaf of the numbers; probabilities
are the mean over trees to the power of one over a temperature. `benchmarks.verdict.fit` writes the JSON.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

LEAST = 1e-6  # probability below which none is told from zero
SCALE = 1000  # shares are stored in thousandths


@dataclass(frozen=True)
class Ensemble:
    """Trees whose nodes stand one after another, in arrays; a node's left child comes right after it.

    Attributes:
        features: names of the numbers, in the order of `usual`.
        usual: what stands in for a number that is not known: its median over the recorded cells.
        classes: names of the classes.
        temperature: one over the power that the mean shares are raised to.
        untrainable: probability from which a start is called untrainable.
        trains: probability of "untrainable" up to which it is called healthy or slow; between the two, uncertain.
        roots: the first node of each tree.
        feature: of each node, the number that it asks for; -1 at a leaf.
        threshold: up to which that number goes to the left.
        right: the right child.
        shares: (node, class): share of the class among the cells that came to the node.
    """

    features: tuple[str, ...]
    usual: np.ndarray
    classes: tuple[str, ...]
    temperature: float
    untrainable: float
    trains: float
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    right: np.ndarray
    shares: np.ndarray

    def vector(self, numbers: Mapping[str, float]) -> np.ndarray:
        """The numbers in order, unknown ones replaced."""
        x = np.array([numbers[name] for name in self.features], dtype=float)
        return np.where(np.isfinite(x), x, self.usual)

    def paths(self, x: np.ndarray) -> list[np.ndarray]:
        """The nodes of all trees, step by step from the roots to the leaves: left where the number is at most the
        threshold. A tree whose leaf is reached stays there.
        """
        steps = [self.roots]
        while (inner := self.feature[steps[-1]] >= 0).any():
            at = steps[-1]
            child = np.where(x[self.feature[at]] <= self.threshold[at], at + 1, self.right[at])
            steps.append(np.where(inner, child, at))
        return steps

    def probability(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """{class: probability}."""
        mean = self.shares[self.paths(self.vector(numbers))[-1]].mean(0)
        powers = np.maximum(mean, LEAST) ** (1.0 / self.temperature)
        return dict(zip(self.classes, (powers / powers.sum()).tolist(), strict=True))

    def moved(self, numbers: Mapping[str, float], name: str) -> dict[str, float]:
        """{feature: how much it moved the mean share of class `name`}, along each tree's path."""
        own = self.shares[:, self.classes.index(name)]
        moved = np.zeros(len(self.features))
        for before, after in itertools.pairwise(self.paths(self.vector(numbers))):
            on = before != after
            np.add.at(moved, self.feature[before[on]], own[after[on]] - own[before[on]])
        return dict(zip(self.features, (moved / len(self.roots)).tolist(), strict=True))


def ensemble_of(data: Mapping[str, Any]) -> Ensemble:
    """The ensemble that `data`, as read from JSON, describes.

    Nodes stand tree by tree: "feature" of every node, -1 of a leaf; "threshold" and "right", how many nodes farther on
    the right child stands, of inner nodes alone; "shares", thousandths of all classes but the last, of every node.
    """
    return Ensemble(
        features=tuple(data["features"]),
        usual=np.array(data["usual"], dtype=float),
        classes=tuple(data["classes"]),
        temperature=float(data["temperature"]),
        untrainable=float(data["untrainable"]),
        trains=float(data["trains"]),
        roots=np.array(data["roots"]),
        **_nodes(data),
    )


def _nodes(data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    feature = np.array(data["feature"])
    inner = feature >= 0
    threshold, right = np.zeros(len(feature)), np.zeros(len(feature), dtype=int)
    threshold[inner], right[inner] = data["threshold"], np.flatnonzero(inner) + np.array(data["right"], dtype=int)
    known = np.array(data["shares"], dtype=float).reshape(len(feature), -1) / SCALE
    shares = np.concatenate([known, 1.0 - known.sum(1, keepdims=True)], 1)
    return {"feature": feature, "threshold": threshold, "right": right, "shares": shares}


@dataclass(frozen=True)
class Calibration:
    """What the recorded cells taught.

    Attributes:
        ensembles: "best" and "given" (which learning rate is judged), each also with ", line".
        facts: {name of a fact: share of the cells of which it held that did not train}.
        cells: how many recorded cells it rests on.
        left_out: {name of an ensemble: how often training agreed on architectures left out of the fit in turn}.
    """

    ensembles: dict[str, Ensemble]
    facts: dict[str, float]
    cells: int
    left_out: dict[str, dict[str, float]]

    def trees(self, *, given: bool, line: bool) -> Ensemble:
        """Those about a given learning rate or the best one, with or without the line probe."""
        return self.ensembles[("given" if given else "best") + (", line" if line else "")]


@cache
def calibration() -> Calibration:
    """The calibration that is shipped."""
    data = json.loads(files("initlab.inspection").joinpath("calibration.json").read_text("utf-8"))
    ensembles = {name: ensemble_of(one) for name, one in data["ensembles"].items()}
    return Calibration(ensembles, data["facts"], data["cells"], data["left out"])
