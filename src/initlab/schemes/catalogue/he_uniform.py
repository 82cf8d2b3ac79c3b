"""`he_uniform`: Var(W) = 2 / fan, uniform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes.catalogue.he_normal import ARGUMENTS, CHECKS, MISUSE, SOURCE, WHY, gain_of
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import WHY_SIX, own_gain, scaled
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return scaled(geometry, arguments["mode"], "uniform", own_gain(gain, gain_of(arguments)))


SCHEME = Scheme(
    name="he_uniform",
    formula="W ~ U(−a, a), a = √(6 / ((1 + negative_slope²) · fan))",
    latex=r"W_{ij} \sim \mathcal{U}(-a, a), \quad a = \sqrt{\tfrac{6}{(1 + s^2)\, n}}",
    keeps="The second moment of the forward signal (fan_in) or of the gradient (fan_out) through ReLU.",
    why=WHY + WHY_SIX + "a = √(6/n): the 6 is 3 (from the uniform) times 2 (from ReLU).",
    source=SOURCE,
    year=2015,
    suits=("relu", "leaky_relu", "prelu"),
    misuse=MISUSE,
    arguments=ARGUMENTS,
    rule=_law,
    checks=CHECKS,
    aliases=("kaiming_uniform",),
)
