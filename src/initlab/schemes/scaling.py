"""Variance scaling, Var(W) = gain² / fan: the laws and the derivations that its schemes share."""

from __future__ import annotations

import math

from initlab.sampling import laws
from initlab.schemes.geometry import Geometry

FORWARD = (
    "y_i = Σ_j W_ij x_j over n = fan_in independent terms with E[W] = 0, so E[y²] = n · Var(W) · E[x²]. E[y²] = "
    "E[x²] asks for Var(W) = 1/n. "
)
WHY_SIX = "A uniform U(−a, a) has variance a²/3, so a = √(3 · Var(W)): "


def draw(distribution: str, std: float) -> laws.Law:
    """The zero-mean law of this shape and std; the constant 0 where the std is 0.

    >>> draw("uniform", 1.0).high ** 2
    2.9999999999999996
    """
    if std == 0:
        return laws.Constant(0.0)
    if distribution == "uniform":
        return laws.Uniform(-math.sqrt(3) * std, math.sqrt(3) * std)
    if distribution == "truncated_normal":
        return laws.TruncatedNormal.from_sigmas(std)
    return laws.Normal(0.0, std)


def scaled(geometry: Geometry, mode: str, distribution: str, gain: float) -> laws.Law:
    """The law of std gain / √fan, with the fan that `mode` names."""
    return draw(distribution, gain / math.sqrt(geometry.fans.mode(mode)))


def own_gain(gain: float | None, own: float) -> float:
    """The gain that a plan hands in, else the scheme's own."""
    return own if gain is None else gain
