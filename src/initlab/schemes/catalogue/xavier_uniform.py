"""`xavier_uniform`: Var(W) = 2 gain² / (fan_in + fan_out), uniform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.catalogue.xavier_normal import MISUSE, SOURCE, WHY
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import WHY_SIX, own_gain, scaled
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return scaled(geometry, "fan_avg", "uniform", own_gain(gain, arguments["gain"]))


SCHEME = Scheme(
    name="xavier_uniform",
    formula="W ~ U(−a, a), a = gain · √(6 / (fan_in + fan_out)), so Var(W) = 2 gain² / (fan_in + fan_out)",
    latex=r"W_{ij} \sim \mathcal{U}(-a, a), \quad a = g\sqrt{\tfrac{6}{n_{in} + n_{out}}}",
    keeps="The variance of signals forward and of gradients backward, as nearly as one number can.",
    why=WHY + WHY_SIX + "a = √(6/(n + m)): the 6 is 3 (from the uniform) times 2 (from the mean of the fans).",
    source=f"{SOURCE}, equation 16",
    year=2010,
    suits=("identity", "tanh", "softsign"),
    misuse=MISUSE,
    arguments={"gain": 1.0},
    rule=_law,
    checks={"gain": checks.at_least_zero},
    aliases=("glorot_uniform",),
)
