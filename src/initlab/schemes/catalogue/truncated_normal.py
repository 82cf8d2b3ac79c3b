"""`truncated_normal`: a normal law cut on both sides, its std stated after the cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.errors import InputError
from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    mean, std, low, high = (arguments[key] for key in ("mean", "std", "low", "high"))
    if (low is None) != (high is None):
        raise InputError(f"truncated_normal needs both low and high, or neither; got low={low!r}, high={high!r}")
    if low is None:
        return laws.TruncatedNormal.from_sigmas(std, sigmas=arguments["sigmas"], mean=mean)
    return laws.TruncatedNormal(mean, std, low, high)


SCHEME = Scheme(
    name="truncated_normal",
    formula=("W ~ N(mean, s²) cut at mean ± sigmas·s (or at low, high), with s such that the std AFTER the cut is std"),
    latex=(
        r"W_{ij} \sim \mathcal{N}(\mu, s^2)\,\big|\,|W_{ij} - \mu| \le k s, \quad \operatorname{std}(W_{ij}) = "
        r"\sigma"
    ),
    keeps="Nothing by itself; it has no tails, so no single weight dominates a unit.",
    why=(
        "Cutting N(0, s²) at ±2s leaves the variance s² (1 − 2·2φ(2)/(2Φ(2) − 1)) = 0.7737 s², a std of 0.8796 "
        "s. So s = std / 0.8796, and the std that is asked for is the std that is reached."
    ),
    source="Burkardt, The truncated normal distribution (moments); the ±2 std cut is TensorFlow's TruncatedNormal",
    year=2014,
    suits=(),
    misuse="As for normal: one std for all widths. (torch's trunc_normal_ states the std before the cut.)",
    arguments={"mean": 0.0, "std": 0.02, "sigmas": 2.0, "low": None, "high": None},
    rule=_law,
    checks={
        "mean": checks.number,
        "std": checks.at_least_zero,
        "sigmas": checks.above_zero,
        "low": checks.number_or_none,
        "high": checks.number_or_none,
    },
    uses="values",
    aliases=("trunc_normal",),
)
