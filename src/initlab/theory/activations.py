"""Activations by name: each a scalar function in plain numpy, with the framework's usual default parameters."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, ndtr

from initlab.errors import InputError, argued, finite_number, text, unknown

Array = NDArray[np.float64]
ScalarFunction = Callable[..., Any]


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=np.float64)


def _softplus(x: Array, beta: float = 1.0) -> Array:
    return np.asarray(np.logaddexp(0.0, beta * x) / beta, dtype=np.float64)


def _erf(x: Array) -> Array:
    return np.asarray(erf(x), dtype=np.float64)


def _gelu(x: Array) -> Array:
    return np.asarray(x * ndtr(x), dtype=np.float64)


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _selu(x: Array) -> Array:
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * _elu(x, alpha)


def _celu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0) / alpha))


def _leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    return np.where(x > 0, x, negative_slope * x)


def _prelu(x: Array, weight: float = 0.25) -> Array:
    return np.where(x > 0, x, weight * x)


def _hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    return np.clip(x, min_val, max_val)


def _hardsigmoid(x: Array) -> Array:
    return np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def _threshold(x: Array, threshold: float = 0.0, value: float = 0.0) -> Array:
    return np.where(x > threshold, x, value)


def _hardshrink(x: Array, lambd: float = 0.5) -> Array:
    return np.where(np.abs(x) > lambd, x, 0.0)


def _softshrink(x: Array, lambd: float = 0.5) -> Array:
    return np.sign(x) * np.maximum(np.abs(x) - lambd, 0.0)


def _linear(x: Array) -> Array:
    return x


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _relu6(x: Array) -> Array:
    return np.clip(x, 0.0, 6.0)


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


def _mish(x: Array) -> Array:
    return x * np.tanh(_softplus(x))


def _hardswish(x: Array) -> Array:
    return x * _hardsigmoid(x)


def _softsign(x: Array) -> Array:
    return x / (1.0 + np.abs(x))


def _logsigmoid(x: Array) -> Array:
    return -_softplus(-x)


def _tanhshrink(x: Array) -> Array:
    return x - np.tanh(x)


def _lecun_tanh(x: Array) -> Array:
    return 1.7159 * np.tanh(2.0 / 3.0 * x)


def _square_relu(x: Array) -> Array:
    return np.maximum(x, 0.0) ** 2


def _gaussian(x: Array) -> Array:
    return np.exp(-np.square(x))


def _step(x: Array) -> Array:
    return np.where(x > 0, 1.0, 0.0)


ACTIVATIONS: dict[str, ScalarFunction] = {
    "abs": np.abs,
    "arctan": np.arctan,
    "celu": _celu,
    "cos": np.cos,
    "elu": _elu,
    "erf": _erf,
    "exp": np.exp,
    "gaussian": _gaussian,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hardshrink": _hardshrink,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "hardtanh": _hardtanh,
    "identity": _linear,
    "leaky_relu": _leaky_relu,
    "lecun_tanh": _lecun_tanh,
    "logsigmoid": _logsigmoid,
    "mish": _mish,
    "prelu": _prelu,
    "relu": _relu,
    "relu6": _relu6,
    "selu": _selu,
    "sigmoid": _sigmoid,
    "sign": np.sign,
    "silu": _silu,
    "sin": np.sin,
    "softplus": _softplus,
    "softshrink": _softshrink,
    "softsign": _softsign,
    "square_relu": _square_relu,
    "step": _step,
    "tanh": np.tanh,
    "tanhshrink": _tanhshrink,
    "threshold": _threshold,
}

ALIASES: dict[str, str] = {
    "atan": "arctan",
    "gelu_new": "gelu_tanh",
    "hard_sigmoid": "hardsigmoid",
    "hard_swish": "hardswish",
    "hard_tanh": "hardtanh",
    "linear": "identity",
    "none": "identity",
    "relu_squared": "square_relu",
    "sine": "sin",
    "swish": "silu",
}


@argued
def activation(name: str, **parameters: float) -> ScalarFunction:
    """The numpy function of an activation's name, with its parameters set.

    Args:
        name: a name such as "relu", "gelu_tanh", "leaky_relu"; upper case does not matter.
        **parameters: its own parameters, such as negative_slope=0.2.

    Raises:
        InputError: an unknown name (with the nearest), or a parameter it does not take.

    >>> float(activation("leaky_relu", negative_slope=0.2)(-1.0))
    -0.2
    """
    key = text(name).lower()
    key = ALIASES.get(key, key)
    if key not in ACTIVATIONS:
        raise unknown("activation", name, [*ACTIVATIONS, *ALIASES])
    function = ACTIVATIONS[key]
    if not parameters:
        return function
    code = getattr(function, "__code__", None)
    names = () if code is None else code.co_varnames[1 : code.co_argcount]
    for parameter, value in parameters.items():
        if parameter not in names:
            raise InputError(f"{key} has no parameter {parameter!r}; it takes {', '.join(names) or 'none'}")
        finite_number(parameter, value)
    return functools.partial(function, **parameters)
