"""`small_init`: Var(W) = 2 / (5 fan_in), for transformers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import own_gain, scaled
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return scaled(geometry, "fan_in", "normal", own_gain(gain, math.sqrt(0.4)))


SCHEME = Scheme(
    name="small_init",
    formula="W ~ N(0, 2 / (5 · fan_in))",
    latex=r"W_{ij} \sim \mathcal{N}\left(0, \tfrac{2}{5\, n_{in}}\right)",
    keeps="The std of Xavier's rule for a transformer's d → 4d layer, 2/(d + 4d), in every layer of width d.",
    why="Attention layers then start as small as the feed-forward ones do: Var(W) = 2/(d + 4d) = 2/(5d).",
    source="Nguyen & Salazar, Transformers without tears: improving the normalization of self-attention",
    year=2019,
    suits=("identity",),
    misuse="In a plain stack without norms or residuals the signal shrinks by √0.4 a layer.",
    arguments={},
    rule=_law,
    checks={},
)
