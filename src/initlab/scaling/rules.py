"""Scaling rules: how the rate, the decay and eps of each parameter follow its growth, one entry for each rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from initlab.errors import known
from initlab.scaling.growth import Growth
from initlab.training.task import Factors


@dataclass(frozen=True)
class ScalingRule:
    """One rule.

    Args:
        name: what the user calls it.
        about: the rule in a line.
        source: where it comes from.
        policy: the recipe whose start belongs to it.
        needs_base: whether growth is measured from a base.
        factors: (growth, family of the optimizer) -> the factors.
        families: the families of optimizers that it is stated for.
        measured: whether its factors depend on growth, so that one that is not known is an error.
    """

    name: str
    about: str
    source: str
    policy: str
    needs_base: bool
    factors: Callable[[Growth, str], Factors]
    families: tuple[str, ...] = ("sgd", "sign", "orthogonal")
    measured: bool = True


# A family of optimizers -> how the rate follows the fans' growth so that W x changes by Θ(1).
RATES: dict[str, Callable[[Growth], float]] = {
    "sgd": lambda growth: growth.fan_out / growth.fan_in,  # a gradient's size goes by both fans
    "sign": lambda growth: 1 / growth.fan_in,  # Adam, Lion: every element moves by the rate
    "orthogonal": lambda growth: math.sqrt(growth.fan_out / growth.fan_in) / growth.tall,  # Muon: the spectral norm
}


def _standard(growth: Growth, family: str) -> Factors:
    return Factors()


def _mup(growth: Growth, family: str) -> Factors:
    """Table 3. Adam's eps is left as it is, as the mup package leaves it."""
    rate = RATES[family](growth)
    return Factors(rate, 1 / rate)


def _completep(growth: Growth, family: str) -> Factors:
    """Table 1 at α = 1. The branch's factor c = 1/depth is folded into its last layer: rate × c, decay and eps / c."""
    rate = RATES[family](growth) / (growth.branches if growth.ends else 1.0)
    return Factors(rate, 1 / rate, 1 / growth.fan_out / (1.0 if growth.ends else growth.branches))


def _u_mup(growth: Growth, family: str) -> Factors:
    """Table 2, its factors A folded into the weights: the rate is C · A, with A = C = 1/√fan_in for hidden weights.

    Depth counts layers of two branches, as the authors' library does (unit_scaling, DepthModuleList).
    """
    rate = 1 / math.sqrt(growth.fan_out) if growth.table else 1 / growth.fan_in
    if growth.branches != 1:
        rate /= growth.branches if growth.ends else math.sqrt(growth.branches)
    return Factors(rate, 1 / rate)


RULES: dict[str, ScalingRule] = {
    rule.name: rule
    for rule in (
        ScalingRule("standard", "one rate for all", "common practice", "auto", False, _standard, measured=False),
        ScalingRule(
            "mup",
            "SGD: fan_out/fan_in; Adam and Lion: 1/fan_in; Muon: √(fan_out/fan_in), all over the base's",
            "Yang et al. 2022, table 3",
            "mup",
            True,
            _mup,
        ),
        ScalingRule(
            "completep",
            "mup, and over depth: ends of branches 1/branches, eps 1/(width · branches)",
            "Dey et al. 2025, table 1, α = 1",
            "completep",
            True,
            _completep,
            ("sign",),
        ),
        ScalingRule(
            "spectral",
            "as mup, from a base of width one: SGD fan_out/fan_in, Adam 1/fan_in, Muon √(fan_out/fan_in)",
            "Yang, Simon & Bernstein 2023",
            "spectral",
            False,
            _mup,
        ),
        ScalingRule(
            "u_mup",
            "Adam: tables 1/√width, weights 1/fan_in, vectors 1, branches 1/√layers more",
            "Blake et al. 2024, table 2",
            "u_mup",
            False,
            _u_mup,
            ("sign",),
        ),
    )
}


def get_rule(name: str) -> ScalingRule:
    """A scaling rule by name.

    Raises:
        InputError: an unknown name (with the nearest).
    """
    return RULES[known("scaling rule", name, RULES)]
