"""`normal`: a fixed mean and std, whatever the fans."""

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
    name="normal",
    formula="W ~ N(mean, std²)",
    latex=r"W_{ij} \sim \mathcal{N}(\mu, \sigma^2)",
    keeps="Nothing by itself: one std for every layer.",
    why=(
        "A layer multiplies the second moment by std² · fan_in · E[φ²]. It stays only where std = 1/√(fan_in · "
        "E[φ²]); one std for all widths is right for one width."
    ),
    source=(
        "Krizhevsky, Sutskever & Hinton, ImageNet classification with deep convolutional neural networks (std 0.01)"
    ),
    year=2012,
    suits=(),
    misuse=(
        "Too small a std: signals and gradients vanish with depth. Too large: they explode, or sigmoid units saturate."
    ),
    arguments={"mean": 0.0, "std": 0.01},
    rule=_law,
    checks={"mean": checks.number, "std": checks.at_least_zero},
    uses="values",
    aliases=("gaussian",),
)
