"""Schemes of the variance-scaling family: Var(W) = gain² / fan. Xavier, He and LeCun are its instances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme

_Arguments = Mapping[str, Any]


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


def _scaled(geometry: Geometry, mode: str, distribution: str, gain: float) -> laws.Law:
    return draw(distribution, gain / math.sqrt(geometry.fans.mode(mode)))


def _or(gain: float | None, own: float) -> float:
    return own if gain is None else gain


def _lecun_normal(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return _scaled(geometry, "fan_in", "normal", _or(gain, 1.0))


def _lecun_uniform(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return _scaled(geometry, "fan_in", "uniform", _or(gain, 1.0))


def _xavier_normal(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return _scaled(geometry, "fan_avg", "normal", _or(gain, arguments["gain"]))


def _xavier_uniform(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return _scaled(geometry, "fan_avg", "uniform", _or(gain, arguments["gain"]))


def _he_gain(arguments: _Arguments) -> float:
    return math.sqrt(2 / (1 + arguments["negative_slope"] ** 2))


def _he_normal(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return _scaled(geometry, arguments["mode"], "normal", _or(gain, _he_gain(arguments)))


def _he_uniform(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return _scaled(geometry, arguments["mode"], "uniform", _or(gain, _he_gain(arguments)))


def _variance_scaling(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    own = math.sqrt(arguments["scale"])
    return _scaled(geometry, arguments["mode"], arguments["distribution"], _or(gain, own))


def _small_init(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return _scaled(geometry, "fan_in", "normal", _or(gain, math.sqrt(0.4)))


def _siren(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return _scaled(geometry, "fan_in", "uniform", _or(gain, math.sqrt(2)) / arguments["omega"])


_FORWARD = (
    "y_i = Σ_j W_ij x_j over n = fan_in independent terms with E[W] = 0, so E[y²] = n · Var(W) · E[x²]. E[y²] = "
    "E[x²] asks for Var(W) = 1/n. "
)
_WHY_SIX = "A uniform U(−a, a) has variance a²/3, so a = √(3 · Var(W)): "
_WHY_XAVIER = (
    "Forward, E[y²] = n · Var(W) · E[x²] for n = fan_in asks for Var(W) = 1/n. Backward, dx = Wᵀ dy sums over m = "
    "fan_out terms and asks for Var(W) = 1/m. Both hold only if n = m; the compromise is one over their mean, Var(W) "
    "= 2/(n + m): hence fan_in + fan_out. "
)
_WHY_HE = (
    "What arrives is x = φ(z) with z symmetric. ReLU sets half of z to 0, so E[x²] = E[z²]/2 and E[y²] = n · Var(W) "
    "· E[z²]/2: keeping it asks for Var(W) = 2/n, the 2 making up for the half that ReLU removes. With slope a on "
    "the negative side E[x²] = (1 + a²)/2 · E[z²], hence 2/((1 + a²) n). "
)
_HE_ARGUMENTS = {"mode": "fan_in", "negative_slope": 0.0}
_HE_CHECKS = {"mode": checks.fan_mode, "negative_slope": checks.number}
_HE_SOURCE = "He, Zhang, Ren & Sun, Delving deep into rectifiers, equations 10, 14 and 15"
_XAVIER_SOURCE = "Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks"
_LECUN_SOURCE = "LeCun, Bottou, Orr & Müller, Efficient backprop, section 4.6, equation 16"
_HE_MISUSE = "With tanh or sigmoid the variance is twice what they need: deep stacks are pushed towards saturation."
_XAVIER_MISUSE = (
    "With ReLU the second moment halves at every layer: by 20 layers a millionth is left. With sigmoid, whose "
    "outputs have mean 0.5, inputs collapse onto one another with depth."
)
_LECUN_MISUSE = "With ReLU the second moment halves at every layer; with sigmoid signals collapse onto their mean."

VARIANCE = (
    Scheme(
        name="lecun_uniform",
        formula="W ~ U(−a, a), a = √(3 / fan_in), so Var(W) = 1 / fan_in",
        latex=r"W_{ij} \sim \mathcal{U}\left(-\sqrt{\tfrac{3}{n_{in}}}, \sqrt{\tfrac{3}{n_{in}}}\right)",
        keeps="The second moment of the forward signal, for inputs that come as they are.",
        why=_FORWARD + _WHY_SIX + "a = √(3/n).",
        source=_LECUN_SOURCE,
        year=1998,
        suits=("identity", "tanh", "selu"),
        misuse=_LECUN_MISUSE,
        arguments={},
        rule=_lecun_uniform,
        checks={},
    ),
    Scheme(
        name="lecun_normal",
        formula="W ~ N(0, 1 / fan_in)",
        latex=r"W_{ij} \sim \mathcal{N}\left(0, \tfrac{1}{n_{in}}\right)",
        keeps="The second moment of the forward signal, for inputs that come as they are.",
        why=_FORWARD
        + "The std is √(1/n), not 1/n, as some copies have it. SELU is built to have gain 1 under this law.",
        source=_LECUN_SOURCE,
        year=1998,
        suits=("identity", "tanh", "selu"),
        misuse=_LECUN_MISUSE,
        arguments={},
        rule=_lecun_normal,
        checks={},
    ),
    Scheme(
        name="xavier_uniform",
        formula="W ~ U(−a, a), a = gain · √(6 / (fan_in + fan_out)), so Var(W) = 2 gain² / (fan_in + fan_out)",
        latex=r"W_{ij} \sim \mathcal{U}(-a, a), \quad a = g\sqrt{\tfrac{6}{n_{in} + n_{out}}}",
        keeps="The variance of signals forward and of gradients backward, as nearly as one number can.",
        why=_WHY_XAVIER
        + _WHY_SIX
        + "a = √(6/(n + m)): the 6 is 3 (from the uniform) times 2 (from the mean of the fans).",
        source=f"{_XAVIER_SOURCE}, equation 16",
        year=2010,
        suits=("identity", "tanh", "softsign"),
        misuse=_XAVIER_MISUSE,
        arguments={"gain": 1.0},
        rule=_xavier_uniform,
        checks={"gain": checks.at_least_zero},
    ),
    Scheme(
        name="xavier_normal",
        formula="W ~ N(0, 2 gain² / (fan_in + fan_out))",
        latex=r"W_{ij} \sim \mathcal{N}\left(0, \tfrac{2 g^2}{n_{in} + n_{out}}\right)",
        keeps="The variance of signals forward and of gradients backward, as nearly as one number can.",
        why=_WHY_XAVIER + "√(2/(n + m)) is the std; some copies print it as the variance.",
        source=f"{_XAVIER_SOURCE}, equation 12",
        year=2010,
        suits=("identity", "tanh", "softsign"),
        misuse=_XAVIER_MISUSE,
        arguments={"gain": 1.0},
        rule=_xavier_normal,
        checks={"gain": checks.at_least_zero},
    ),
    Scheme(
        name="he_uniform",
        formula="W ~ U(−a, a), a = √(6 / ((1 + negative_slope²) · fan))",
        latex=r"W_{ij} \sim \mathcal{U}(-a, a), \quad a = \sqrt{\tfrac{6}{(1 + s^2)\, n}}",
        keeps="The second moment of the forward signal (fan_in) or of the gradient (fan_out) through ReLU.",
        why=_WHY_HE + _WHY_SIX + "a = √(6/n): the 6 is 3 (from the uniform) times 2 (from ReLU).",
        source=_HE_SOURCE,
        year=2015,
        suits=("relu", "leaky_relu", "prelu"),
        misuse=_HE_MISUSE,
        arguments=_HE_ARGUMENTS,
        rule=_he_uniform,
        checks=_HE_CHECKS,
    ),
    Scheme(
        name="he_normal",
        formula="W ~ N(0, 2 / ((1 + negative_slope²) · fan))",
        latex=r"W_{ij} \sim \mathcal{N}\left(0, \tfrac{2}{(1 + s^2)\, n}\right)",
        keeps="The second moment of the forward signal (fan_in) or of the gradient (fan_out) through ReLU.",
        why=_WHY_HE + "Backward, ReLU halves the gradient's second moment likewise, and n is fan_out.",
        source=_HE_SOURCE,
        year=2015,
        suits=("relu", "leaky_relu", "prelu"),
        misuse=_HE_MISUSE,
        arguments=_HE_ARGUMENTS,
        rule=_he_normal,
        checks=_HE_CHECKS,
    ),
    Scheme(
        name="variance_scaling",
        formula="Var(W) = scale / fan(mode); normal, truncated normal (std after truncation) or uniform",
        latex=(
            r"\operatorname{Var}(W_{ij}) = \tfrac{s}{n}, \quad n \in \{n_{in}, n_{out}, \tfrac{n_{in}+n_{out}}{2}, "
            r"\sqrt{n_{in} n_{out}}\}"
        ),
        keeps="The second moment, for inputs whose activation has E[φ(z)²] = 1/scale.",
        why=_FORWARD
        + "An input φ(z) with E[φ²] = 1/scale needs scale times as much; Xavier, He and LeCun are instances.",
        source="Keras VarianceScaling, after He et al., Delving deep into rectifiers",
        year=2015,
        suits=("identity",),
        misuse="A scale that is not 1/E[φ²] of the activation in use multiplies the second moment at every layer.",
        arguments={"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
        rule=_variance_scaling,
        checks={"scale": checks.at_least_zero, "mode": checks.fan_mode, "distribution": checks.distribution},
    ),
    Scheme(
        name="small_init",
        formula="W ~ N(0, 2 / (5 · fan_in))",
        latex=r"W_{ij} \sim \mathcal{N}\left(0, \tfrac{2}{5\, n_{in}}\right)",
        keeps="The std of Xavier's rule for a transformer's d → 4d layer, 2/(d + 4d), in every layer of width d.",
        why="Attention layers then start as small as the feed-forward ones do: Var(W) = 2/(d + 4d) = 2/(5d).",
        source="Nguyen & Salazar, Transformers without tears: improving the normalization of self-attention",
        year=2019,
        suits=("identity",),
        misuse="In a plain stack without norms or residuals the signal shrinks by √0.4 a layer.",
        arguments={},
        rule=_small_init,
        checks={},
    ),
    Scheme(
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
        rule=_siren,
        checks={"omega": checks.above_zero},
    ),
)
