"""`xavier_normal`: Var(W) = 2 gain² / (fan_in + fan_out), normal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import own_gain, scaled
from initlab.schemes.scheme import Scheme

WHY = (
    "Forward, E[y²] = n · Var(W) · E[x²] for n = fan_in asks for Var(W) = 1/n. Backward, dx = Wᵀ dy sums over m = "
    "fan_out terms and asks for Var(W) = 1/m. Both hold only if n = m; the compromise is one over their mean, Var(W) "
    "= 2/(n + m): hence fan_in + fan_out. "
)
SOURCE = "Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks"
MISUSE = (
    "With ReLU the second moment halves at every layer: by 20 layers a millionth is left. With sigmoid, whose "
    "outputs have mean 0.5, inputs collapse onto one another with depth."
)


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return scaled(geometry, "fan_avg", "normal", own_gain(gain, arguments["gain"]))


SCHEME = Scheme(
    name="xavier_normal",
    formula="W ~ N(0, 2 gain² / (fan_in + fan_out))",
    latex=r"W_{ij} \sim \mathcal{N}\left(0, \tfrac{2 g^2}{n_{in} + n_{out}}\right)",
    keeps="The variance of signals forward and of gradients backward, as nearly as one number can.",
    why=WHY + "√(2/(n + m)) is the std; some copies print it as the variance.",
    source=f"{SOURCE}, equation 12",
    year=2010,
    suits=("identity", "tanh", "softsign"),
    misuse=MISUSE,
    arguments={"gain": 1.0},
    rule=_law,
    checks={"gain": checks.at_least_zero},
    aliases=("glorot_normal", "xavier", "glorot"),
)
