"""The activation functions that are recognised by name: where they saturate, when a unit is off, which scheme suits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

Tensor = torch.Tensor
Count = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Activation:
    """What can be told from the output of an activation function.

    Attributes:
        saturated: counts output elements where the slope is under 5% of its largest; None when it never saturates.
        off: the output value of a unit that is off; None when there is no off state.
        scheme: the scheme that suits a layer around this activation.
        one_sided: the output is never below `off`, so that a unit whose mean is `off` is off for every sample.
    """

    saturated: Count | None
    off: float | None
    scheme: str
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

_RELU = Activation(None, 0.0, "he_normal", one_sided=True)
_SMOOTH = Activation(None, None, "he_normal")

ACTIVATIONS: dict[str, Activation] = {
    "relu": _RELU,
    "relu6": Activation(lambda y: (y >= 6).count_nonzero(), 0.0, "he_normal", one_sided=True),
    "threshold": _RELU,
    "leaky_relu": Activation(None, None, "he_normal"),
    "rrelu": Activation(None, None, "he_normal"),
    "prelu": Activation(None, None, "he_normal"),
    "gelu": _SMOOTH,
    "silu": _SMOOTH,
    "mish": _SMOOTH,
    "hardswish": _SMOOTH,
    "softplus": Activation(_below(0.05), None, "he_normal"),
    "elu": Activation(_below(-0.95), None, "he_normal"),
    "celu": Activation(_below(-0.95), None, "he_normal"),
    "selu": Activation(_below(-0.95 * 1.7580993), None, "lecun_normal"),
    "tanh": Activation(_outside(-_TANH, _TANH), None, "xavier_normal"),
    "hardtanh": Activation(lambda y: (y.abs() >= 1).count_nonzero(), None, "xavier_normal"),
    "softsign": Activation(_outside(-_SOFTSIGN, _SOFTSIGN), None, "xavier_normal"),
    "erf": Activation(_outside(-_ERF, _ERF), None, "xavier_normal"),
    "sigmoid": Activation(_outside(_SIGMOID, 1 - _SIGMOID), None, "xavier_normal"),
    "hardsigmoid": Activation(_outside(1e-6, 1 - 1e-6), None, "xavier_normal"),
    "logsigmoid": _SMOOTH,
    "tanhshrink": _SMOOTH,
    "softshrink": Activation(None, 0.0, "xavier_normal"),
    "hardshrink": Activation(None, 0.0, "xavier_normal"),
    "sin": Activation(None, None, "xavier_normal"),
    "glu": _SMOOTH,
    "softmax": Activation(None, None, "xavier_normal"),
}

ALIASES = {"clamp_min": "relu", "expit": "sigmoid", "special_expit": "sigmoid", "swish": "silu"}

# Layers without parameters of their own that are recorded too, since they set the scale of what follows.
NORMS = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm", "normalize"}


def activation_of(function_name: str) -> str | None:
    """The key in `ACTIVATIONS` for a torch function's name (`relu_` is relu in place), or None.

    >>> activation_of("relu_"), activation_of("linear")
    ('relu', None)
    """
    name = function_name.rstrip("_")
    name = ALIASES.get(name, name)
    return name if name in ACTIVATIONS else None
