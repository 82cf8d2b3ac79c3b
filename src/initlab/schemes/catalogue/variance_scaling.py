"""`variance_scaling`: Var(W) = scale / fan, of which Xavier, He and LeCun are instances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import FORWARD, own_gain, scaled
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    own = math.sqrt(arguments["scale"])
    return scaled(geometry, arguments["mode"], arguments["distribution"], own_gain(gain, own))


SCHEME = Scheme(
    name="variance_scaling",
    formula="Var(W) = scale / fan(mode); normal, truncated normal (std after truncation) or uniform",
    latex=(
        r"\operatorname{Var}(W_{ij}) = \tfrac{s}{n}, \quad n \in \{n_{in}, n_{out}, \tfrac{n_{in}+n_{out}}{2}, "
        r"\sqrt{n_{in} n_{out}}\}"
    ),
    keeps="The second moment, for inputs whose activation has E[φ(z)²] = 1/scale.",
    why=FORWARD + "An input φ(z) with E[φ²] = 1/scale needs scale times as much; Xavier, He and LeCun are instances.",
    source="Keras VarianceScaling, after He et al., Delving deep into rectifiers",
    year=2015,
    suits=("identity",),
    misuse="A scale that is not 1/E[φ²] of the activation in use multiplies the second moment at every layer.",
    arguments={"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
    rule=_law,
    checks={"scale": checks.at_least_zero, "mode": checks.fan_mode, "distribution": checks.distribution},
)
