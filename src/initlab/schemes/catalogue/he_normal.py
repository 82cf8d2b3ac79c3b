"""`he_normal`: Var(W) = 2 / fan, normal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import own_gain, scaled
from initlab.schemes.scheme import Scheme

WHY = (
    "What arrives is x = φ(z) with z symmetric. ReLU sets half of z to 0, so E[x²] = E[z²]/2 and E[y²] = n · Var(W) "
    "· E[z²]/2: keeping it asks for Var(W) = 2/n, the 2 making up for the half that ReLU removes. With slope a on "
    "the negative side E[x²] = (1 + a²)/2 · E[z²], hence 2/((1 + a²) n). "
)
ARGUMENTS = {"mode": "fan_in", "negative_slope": 0.0}
CHECKS = {"mode": checks.fan_mode, "negative_slope": checks.number}
SOURCE = "He, Zhang, Ren & Sun, Delving deep into rectifiers, equations 10, 14 and 15"
MISUSE = "With tanh or sigmoid the variance is twice what they need: deep stacks are pushed towards saturation."


def gain_of(arguments: Mapping[str, Any]) -> float:
    """What undoes a leaky ReLU: √(2 / (1 + negative_slope²))."""
    return math.sqrt(2 / (1 + arguments["negative_slope"] ** 2))


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return scaled(geometry, arguments["mode"], "normal", own_gain(gain, gain_of(arguments)))


SCHEME = Scheme(
    name="he_normal",
    formula="W ~ N(0, 2 / ((1 + negative_slope²) · fan))",
    latex=r"W_{ij} \sim \mathcal{N}\left(0, \tfrac{2}{(1 + s^2)\, n}\right)",
    keeps="The second moment of the forward signal (fan_in) or of the gradient (fan_out) through ReLU.",
    why=WHY + "Backward, ReLU halves the gradient's second moment likewise, and n is fan_out.",
    source=SOURCE,
    year=2015,
    suits=("relu", "leaky_relu", "prelu"),
    misuse=MISUSE,
    arguments=ARGUMENTS,
    rule=_law,
    checks=CHECKS,
    aliases=("kaiming_normal", "he", "kaiming"),
)
