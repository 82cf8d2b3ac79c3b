"""The activation functions that are recognised by name: where they saturate and when a unit is off."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from initlab.graph.operations import TABLE

Tensor = torch.Tensor
Count = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Activation:
    """What can be told from the output of an activation function.

    Attributes:
        saturated: counts output elements where the slope is under 5% of its largest; None when it never saturates.
        off: the output value of a unit that is off; None when there is no off state.
        one_sided: the output is never below `off`, so that a unit whose mean is `off` is off for every sample.
    """

    saturated: Count | None
    off: float | None
    one_sided: bool = False


def _outside(low: float, high: float) -> Count:
    middle, half = (low + high) / 2, (high - low) / 2
    if middle == 0:
        return lambda y: (y.abs() > half).count_nonzero()
    return lambda y: ((y - middle).abs() > half).count_nonzero()


def _below(low: float) -> Count:
    return lambda y: (y < low).count_nonzero()


# The bounds solve slope = 0.05 * largest slope for the output: tanh 1 - y^2, sigmoid 4y(1 - y), softsign (1 - |y|)^2,
# erf exp(-x^2).
_TANH = math.sqrt(0.95)
_SIGMOID = (1 - math.sqrt(0.95)) / 2
_SOFTSIGN = 1 - math.sqrt(0.05)
_ERF = math.erf(math.sqrt(-math.log(0.05)))

_RELU = Activation(None, 0.0, one_sided=True)
_PLAIN = Activation(None, None)

ACTIVATIONS: dict[str, Activation] = {
    "relu": _RELU,
    "relu6": Activation(lambda y: (y >= 6).count_nonzero(), 0.0, one_sided=True),
    "threshold": _RELU,
    "leaky_relu": _PLAIN,
    "rrelu": _PLAIN,
    "prelu": _PLAIN,
    "gelu": _PLAIN,
    "silu": _PLAIN,
    "mish": _PLAIN,
    "hardswish": _PLAIN,
    "softplus": Activation(_below(0.05), None),
    "elu": Activation(_below(-0.95), None),
    "celu": Activation(_below(-0.95), None),
    "selu": Activation(_below(-0.95 * 1.7580993), None),
    "tanh": Activation(_outside(-_TANH, _TANH), None),
    "hardtanh": Activation(lambda y: (y.abs() >= 1).count_nonzero(), None),
    "softsign": Activation(_outside(-_SOFTSIGN, _SOFTSIGN), None),
    "erf": Activation(_outside(-_ERF, _ERF), None),
    "sigmoid": Activation(_outside(_SIGMOID, 1 - _SIGMOID), None),
    "hardsigmoid": Activation(_outside(1e-6, 1 - 1e-6), None),
    "logsigmoid": _PLAIN,
    "tanhshrink": _PLAIN,
    "softshrink": Activation(None, 0.0),
    "hardshrink": Activation(None, 0.0),
    "sin": _PLAIN,
    "glu": _PLAIN,
    "softmax": _PLAIN,
}


def activation_of(function_name: str) -> str | None:
    """The key in `ACTIVATIONS` for a torch function's name (`relu_` is relu in place), or None.

    >>> activation_of("relu_"), activation_of("linear")
    ('relu', None)
    """
    kind = TABLE.kind_named(function_name)
    kind = "relu" if kind == "clamp_min" else kind
    return kind if kind in ACTIVATIONS else None


@dataclass(frozen=True)
class Setting:
    """The number that an activation function is called with.

    Attributes:
        name: of the argument.
        place: of the argument.
        low, high: with which the function still is what its name says; inclusive.
        usual: torch's default, or 0 where it has none.
    """

    name: str
    place: int
    low: float
    high: float
    usual: float


SETTINGS: dict[str, Setting] = {
    "leaky_relu": Setting("negative_slope", 1, -1.0, 1.0, 0.01),
    "elu": Setting("alpha", 1, 0.01, 10.0, 1.0),
    "celu": Setting("alpha", 1, 0.01, 10.0, 1.0),
    "softplus": Setting("beta", 1, 0.05, 100.0, 1.0),
    "threshold": Setting("threshold", 1, -2.0, 2.0, 0.0),
    "hardtanh": Setting("max_val", 2, 0.05, 1000.0, 1.0),
}
