"""`uniform`: a fixed range, whatever the fans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.Uniform(arguments["low"], arguments["high"])


SCHEME = Scheme(
    name="uniform",
    formula="W ~ U(low, high), std = (high − low) / √12",
    latex=r"W_{ij} \sim \mathcal{U}(a, b), \quad \sigma = \frac{b - a}{\sqrt{12}}",
    keeps="Nothing by itself: the range takes no account of the fans.",
    why="Var U(a, b) = (b − a)² / 12: the mean of the squared distance from the middle.",
    source="Rumelhart, Hinton & Williams (small random weights); the default range is that of Keras' RandomUniform",
    year=1986,
    suits=(),
    misuse="One range for all widths: signals shrink in narrow layers and explode in wide ones.",
    arguments={"low": -0.05, "high": 0.05},
    rule=_law,
    checks={"low": checks.number, "high": checks.number},
    uses="values",
)
