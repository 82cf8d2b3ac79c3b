"""`siren`: Var(W) = 2 / fan_in / omega², for sine networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import own_gain, scaled
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return scaled(geometry, "fan_in", "uniform", own_gain(gain, math.sqrt(2)) / arguments["omega"])


SCHEME = Scheme(
    name="siren",
    formula="W ~ U(−a, a), a = √(6 / fan_in) / omega",
    latex=r"W_{ij} \sim \mathcal{U}(-a, a), \quad a = \tfrac{1}{\omega_0}\sqrt{\tfrac{6}{n_{in}}}",
    keeps="The distribution of pre-activations at N(0, 1) after the factor omega, for sine activations.",
    why=(
        "sin of a wide signal is arcsine distributed with variance 1/2. y = ω W sin(z) has variance ω² · n · "
        "(a²/3) · (1/2) = 1 for a = √(6/n)/ω."
    ),
    source="Sitzmann et al., Implicit neural representations with periodic activation functions, section 3.2",
    year=2020,
    suits=("sin",),
    misuse="Without the factor omega in the layer's activation the signal dies out, omega times smaller a layer.",
    arguments={"omega": 30.0},
    rule=_law,
    checks={"omega": checks.above_zero},
)
