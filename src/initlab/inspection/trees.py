"""A small ensemble of decision trees, read from JSON: class probabilities, and how much each number moved them.

The margin of a class is its base plus, over its trees, the value of the leaf that the numbers lead to; probabilities
are the softmax of the margins over a temperature. `benchmarks.verdict.fit` writes the JSON.
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


@dataclass(frozen=True)
class Tree:
    """Nodes in arrays: a node's feature (-1 at a leaf), threshold, children, and the mean value of its leaves."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    def path(self, x: np.ndarray) -> list[int]:
        """The nodes from the root to the leaf of `x`: left where the number is at most the threshold."""
        nodes = [0]
        while self.feature[nodes[-1]] >= 0:
            node = nodes[-1]
            side = self.left if x[self.feature[node]] <= self.threshold[node] else self.right
            nodes.append(int(side[node]))
        return nodes


@dataclass(frozen=True)
class Ensemble:
    """Trees for each class.

    Attributes:
        features: names of the numbers, in the order of `usual`.
        usual: what stands in for a number that is not known: its median over the recorded cells.
        classes: names of the classes.
        base: margin of each class before any tree.
        temperature: what margins are divided by.
        untrainable: probability from which a start is called untrainable.
        trains: probability of "untrainable" up to which it is called healthy or slow; between the two, uncertain.
        trees: those of each class.
    """

    features: tuple[str, ...]
    usual: np.ndarray
    classes: tuple[str, ...]
    base: np.ndarray
    temperature: float
    untrainable: float
    trains: float
    trees: tuple[tuple[Tree, ...], ...]

    def vector(self, numbers: Mapping[str, float]) -> np.ndarray:
        """The numbers in order, unknown ones replaced."""
        x = np.array([numbers[name] for name in self.features], dtype=float)
        return np.where(np.isfinite(x), x, self.usual)

    def probability(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """{class: probability}."""
        x = self.vector(numbers)
        sums = [sum(float(tree.value[tree.path(x)[-1]]) for tree in own) for own in self.trees]
        margins = (self.base + np.array(sums)) / self.temperature
        powers = np.exp(margins - margins.max())
        return dict(zip(self.classes, (powers / powers.sum()).tolist(), strict=True))

    def moved(self, numbers: Mapping[str, float], name: str) -> dict[str, float]:
        """{feature: how much it moved the margin of class `name` over those of the others}, along each tree's path."""
        x = self.vector(numbers)
        shares = np.zeros(len(self.features))
        for other, own in zip(self.classes, self.trees, strict=True):
            weight = 1.0 if other == name else -1.0 / (len(self.classes) - 1)
            for tree in own:
                nodes = tree.path(x)
                for node, following in itertools.pairwise(nodes):
                    shares[tree.feature[node]] += weight * float(tree.value[following] - tree.value[node])
        return dict(zip(self.features, shares.tolist(), strict=True))


def ensemble_of(data: Mapping[str, Any]) -> Ensemble:
    """The ensemble that `data`, as read from JSON, describes."""
    return Ensemble(
        features=tuple(data["features"]),
        usual=np.array(data["usual"], dtype=float),
        classes=tuple(data["classes"]),
        base=np.array(data["base"], dtype=float),
        temperature=float(data["temperature"]),
        untrainable=float(data["untrainable"]),
        trains=float(data["trains"]),
        trees=tuple(tuple(_tree(nodes) for nodes in own) for own in data["trees"]),
    )


def _tree(nodes: list[list[float]]) -> Tree:
    """From nodes [feature, threshold, left, right, value]; a leaf is [value]."""
    full = [node if len(node) > 1 else [-1, 0.0, -1, -1, node[0]] for node in nodes]
    feature, threshold, left, right, value = (np.array(column) for column in zip(*full, strict=True))
    return Tree(feature.astype(int), threshold, left.astype(int), right.astype(int), value)


@dataclass(frozen=True)
class Calibration:
    """What the recorded cells taught.

    Attributes:
        ensembles: "best" and "given" (which learning rate is judged), each also with ", line".
        facts: {name of a fact: share of the cells of which it held that did not train}.
        cells: how many recorded cells it rests on.
    """

    ensembles: dict[str, Ensemble]
    facts: dict[str, float]
    cells: int

    def trees(self, *, given: bool, line: bool) -> Ensemble:
        """Those about a given learning rate or the best one, with or without the line probe."""
        return self.ensembles[("given" if given else "best") + (", line" if line else "")]


@cache
def calibration() -> Calibration:
    """The calibration that is shipped."""
    data = json.loads(files("initlab.inspection").joinpath("calibration.json").read_text())
    ensembles = {name: ensemble_of(one) for name, one in data["ensembles"].items()}
    return Calibration(ensembles, data["facts"], data["cells"])
