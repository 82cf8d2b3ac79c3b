"""`gan_normal`: the std 0.02 of DCGAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.Normal(arguments["mean"], arguments["std"])


SCHEME = Scheme(
    name="gan_normal",
    formula="W ~ N(mean, std²) with std = 0.02",
    latex=r"W_{ij} \sim \mathcal{N}(0, 0.02^2)",
    keeps=(
        "Nothing by itself; batch norm after each layer sets the scale, so the small std only slows the first steps."
    ),
    why=(
        "Found by trial for DCGAN. 0.02 = 1/√2500, so a layer that sums over about 2,500 inputs keeps its "
        "signal's size even before the norm that follows it."
    ),
    source="Radford, Metz & Chintala, Unsupervised representation learning with deep convolutional GANs, section 4",
    year=2016,
    suits=("relu", "leaky_relu"),
    misuse="Without batch norm after each layer, layers of fan_in well under 2,500 shrink their signal.",
    arguments={"mean": 0.0, "std": 0.02},
    rule=_law,
    checks={"mean": checks.number, "std": checks.at_least_zero},
    uses="values",
    aliases=("dcgan_normal",),
)
