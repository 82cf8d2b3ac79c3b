"""`lecun_uniform`: Var(W) = 1 / fan_in, uniform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes.catalogue.lecun_normal import MISUSE, SOURCE
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import FORWARD, WHY_SIX, own_gain, scaled
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return scaled(geometry, "fan_in", "uniform", own_gain(gain, 1.0))


SCHEME = Scheme(
    name="lecun_uniform",
    formula="W ~ U(−a, a), a = √(3 / fan_in), so Var(W) = 1 / fan_in",
    latex=r"W_{ij} \sim \mathcal{U}\left(-\sqrt{\tfrac{3}{n_{in}}}, \sqrt{\tfrac{3}{n_{in}}}\right)",
    keeps="The second moment of the forward signal, for inputs that come as they are.",
    why=FORWARD + WHY_SIX + "a = √(3/n).",
    source=SOURCE,
    year=1998,
    suits=("identity", "tanh", "selu"),
    misuse=MISUSE,
    arguments={},
    rule=_law,
    checks={},
)
