"""`delta_orthogonal`: an orthogonal matrix at the kernel's centre."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.DeltaOrthogonal(float(arguments["gain"] if gain is None else gain), geometry.out_axis, geometry.in_axis)


SCHEME = Scheme(
    name="delta_orthogonal",
    formula="W = 0 but for the kernel's centre, which is gain · Q with orthonormal columns (or rows)",
    latex=r"W_{:,:,\beta} = g\,Q\,\delta_{\beta,\text{centre}}, \quad Q^\top Q = I",
    keeps="The length of the signal at every place of the feature map, so that very deep plain CNNs train.",
    why=(
        "With only the centre tap the convolution is one orthogonal map applied at each position, whose singular "
        "values are all gain. Spread over the kernel, an orthogonal weight is not an orthogonal convolution."
    ),
    source="Xiao et al., Dynamical isometry and a mean field theory of CNNs, algorithm 2",
    year=2018,
    suits=("tanh", "identity"),
    misuse="With few layers the kernel starts as a 1×1 convolution, and must first learn to look around.",
    arguments={"gain": 1.0},
    rule=_law,
    checks={"gain": checks.at_least_zero},
    uses="matrix",
)
