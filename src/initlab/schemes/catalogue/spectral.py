"""`spectral`: the std with which a matrix of any shape has the spectral norm √(fan_out / fan_in)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import draw, own_gain
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    fans = geometry.fans
    shape = min(1.0, math.sqrt(fans.fan_out / fans.fan_in))
    return draw("normal", own_gain(gain, 1.0) * shape / math.sqrt(fans.fan_in))


SCHEME = Scheme(
    name="spectral",
    formula="W ~ N(0, s²), s = min(1, √(fan_out / fan_in)) / √fan_in",
    latex=r"W_{ij} \sim \mathcal{N}(0, s^2), \quad s = \tfrac{1}{\sqrt{n_{in}}} \min(1, \sqrt{n_{out} / n_{in}})",
    keeps="The spectral norm at Θ(√(fan_out / fan_in)), with which features of any width are of size one.",
    why=(
        "A Gaussian m × n matrix of std s has spectral norm near s (√m + √n). Features of m units of size one have "
        "norm √m, those of n units √n: a layer that may align with its input has to have the norm √(m/n). Hence "
        "s = √(m/n) / (√m + √n), which is min(1, √(m/n)) / √n up to a factor between 1/2 and 1."
    ),
    source="Yang, Simon & Bernstein, A spectral condition for feature learning, equation 4 and parametrization 1",
    year=2023,
    suits=("identity",),
    misuse=(
        "Layers with more inputs than outputs make signals smaller than one until training aligns them: the first "
        "layer of a narrow network on wide data starts small."
    ),
    arguments={},
    rule=_law,
    checks={},
)
