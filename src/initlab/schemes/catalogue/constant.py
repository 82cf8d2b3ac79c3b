"""`constant`: one value for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.catalogue.zeros import SYMMETRY
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.Constant(arguments["value"])


SCHEME = Scheme(
    name="constant",
    formula="W = value",
    latex=r"W_{ij} = c",
    keeps="Nothing.",
    why="Every output is c Σ x_j, whatever the unit: the layer has rank 1.",
    source="Rumelhart, Hinton & Williams, Learning representations by back-propagating errors (symmetry breaking)",
    year=1986,
    suits=(),
    misuse=f"{SYMMETRY}. Only random values break the tie.",
    arguments={"value": 0.5},
    rule=_law,
    checks={"value": checks.number},
    uses="values",
    aliases=("const",),
)
