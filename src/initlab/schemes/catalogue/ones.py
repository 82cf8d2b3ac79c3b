"""`ones`: every value 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes.catalogue.zeros import SYMMETRY
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.Constant(1.0)


SCHEME = Scheme(
    name="ones",
    formula="W = 1",
    latex=r"W_{ij} = 1",
    keeps="Nothing for a weight matrix; for a norm layer's weight, the normalised signal as it is.",
    why="y = 1 · x̂ leaves a normalised signal x̂ at variance 1. In a matrix every output is the same sum Σ x_j.",
    source="Ioffe & Szegedy, Batch normalization: accelerating deep network training",
    year=2015,
    suits=(),
    misuse=f"{SYMMETRY}; the sum also grows by a factor fan_in a layer, so deep stacks saturate or overflow.",
    arguments={},
    rule=_law,
    checks={},
    uses="values",
)
