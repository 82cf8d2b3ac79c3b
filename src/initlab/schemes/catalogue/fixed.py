"""Schemes whose law is a fixed set of numbers: they look at neither the fans nor the layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.errors import InputError
from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme

_Arguments = Mapping[str, Any]


def _constant(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.Constant(arguments["value"])


def _zeros(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.Constant(0.0)


def _ones(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.Constant(1.0)


def _uniform(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.Uniform(arguments["low"], arguments["high"])


def _normal(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.Normal(arguments["mean"], arguments["std"])


def _truncated_normal(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    mean, std, low, high = (arguments[key] for key in ("mean", "std", "low", "high"))
    if (low is None) != (high is None):
        raise InputError(f"truncated_normal needs both low and high, or neither; got low={low!r}, high={high!r}")
    if low is None:
        return laws.TruncatedNormal.from_sigmas(std, sigmas=arguments["sigmas"], mean=mean)
    return laws.TruncatedNormal(mean, std, low, high)


_SYMMETRY = (
    "Units of one layer compute the same output and receive the same gradient, so every update keeps them equal: the "
    "layer has one unit's worth of capacity for ever"
)

FIXED = (
    Scheme(
        name="zeros",
        formula="W = 0",
        latex=r"W_{ij} = 0",
        keeps="Nothing: every output is the bias.",
        why=(
            "For y = Wx with W = 0 the gradient to x is Wᵀ dy = 0, so nothing below the last layer learns. Right for "
            "biases, and for the last layer of a residual branch, which then starts as the identity."
        ),
        source="Rumelhart, Hinton & Williams, Learning representations by back-propagating errors (symmetry breaking)",
        year=1986,
        suits=(),
        misuse=f"{_SYMMETRY}; with every weight zero the gradients of all layers but the last are zero as well.",
        arguments={},
        rule=_zeros,
        checks={},
        uses="values",
    ),
    Scheme(
        name="ones",
        formula="W = 1",
        latex=r"W_{ij} = 1",
        keeps="Nothing for a weight matrix; for a norm layer's weight, the normalised signal as it is.",
        why="y = 1 · x̂ leaves a normalised signal x̂ at variance 1. In a matrix every output is the same sum Σ x_j.",
        source="Ioffe & Szegedy, Batch normalization: accelerating deep network training",
        year=2015,
        suits=(),
        misuse=f"{_SYMMETRY}; the sum also grows by a factor fan_in a layer, so deep stacks saturate or overflow.",
        arguments={},
        rule=_ones,
        checks={},
        uses="values",
    ),
    Scheme(
        name="constant",
        formula="W = value",
        latex=r"W_{ij} = c",
        keeps="Nothing.",
        why="Every output is c Σ x_j, whatever the unit: the layer has rank 1.",
        source="Rumelhart, Hinton & Williams, Learning representations by back-propagating errors (symmetry breaking)",
        year=1986,
        suits=(),
        misuse=f"{_SYMMETRY}. Only random values break the tie.",
        arguments={"value": 0.5},
        rule=_constant,
        checks={"value": checks.number},
        uses="values",
    ),
    Scheme(
        name="uniform",
        formula="W ~ U(low, high), std = (high − low) / √12",
        latex=r"W_{ij} \sim \mathcal{U}(a, b), \quad \sigma = \frac{b - a}{\sqrt{12}}",
        keeps="Nothing by itself: the range takes no account of the fans.",
        why="Var U(a, b) = (b − a)² / 12: the mean of the squared distance from the middle.",
        source="Rumelhart, Hinton & Williams (small random weights); the default range is that of Keras' RandomUniform",
        year=1986,
        suits=(),
        misuse="One range for all widths: signals shrink in narrow layers and explode in wide ones.",
        arguments={"low": -0.05, "high": 0.05},
        rule=_uniform,
        checks={"low": checks.number, "high": checks.number},
        uses="values",
    ),
    Scheme(
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
            "Too small a std: signals and gradients vanish with depth. Too large: they explode, or sigmoid units "
            "saturate."
        ),
        arguments={"mean": 0.0, "std": 0.01},
        rule=_normal,
        checks={"mean": checks.number, "std": checks.at_least_zero},
        uses="values",
    ),
    Scheme(
        name="truncated_normal",
        formula=(
            "W ~ N(mean, s²) cut at mean ± sigmas·s (or at low, high), with s such that the std AFTER the cut is std"
        ),
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
        rule=_truncated_normal,
        checks={
            "mean": checks.number,
            "std": checks.at_least_zero,
            "sigmas": checks.above_zero,
            "low": checks.number_or_none,
            "high": checks.number_or_none,
        },
        uses="values",
    ),
    Scheme(
        name="gan_normal",
        formula="W ~ N(mean, std²) with std = 0.02",
        latex=r"W_{ij} \sim \mathcal{N}(0, 0.02^2)",
        keeps=(
            "Nothing by itself; batch norm after each layer sets the scale, so the small std only slows the first "
            "steps."
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
        rule=_normal,
        checks={"mean": checks.number, "std": checks.at_least_zero},
        uses="values",
    ),
)
