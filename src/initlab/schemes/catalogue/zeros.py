"""`zeros`: every value 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme

SYMMETRY = (
    "Units of one layer compute the same output and receive the same gradient, so every update keeps them equal: the "
    "layer has one unit's worth of capacity for ever"
)


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.Constant(0.0)


SCHEME = Scheme(
    name="zeros",
    formula="W = 0",
    latex=r"W_{ij} = 0",
    keeps="Nothing: every output is the bias.",
    why=(
        "For y = Wx with W = 0 the gradient to x is Wᵀ dy = 0, so nothing below the last layer learns. Right for "
        "biases, and for the last layer of a residual branch, which then starts as the identity."
    ),
    source="Rumelhart, Hinton & Williams, Learning representations by back-propagating errors (symmetry breaking)",
    year=1986,
    suits=(),
    misuse=f"{SYMMETRY}; with every weight zero the gradients of all layers but the last are zero as well.",
    arguments={},
    rule=_law,
    checks={},
    uses="values",
)
