"""A scalar function as theory sees it: a name or a callable of any framework, checked and made numpy to numpy."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlab.errors import InputError, shown
from initlab.rng import random_states_kept_once
from initlab.theory.activations import ALIASES, Array, activation

# Unevenly spaced, so that no lattice of the function's own falls on the points.
_PROBE = np.linspace(-1.0, 1.0, 24) * 3.0 + 0.0137 * np.sin(np.arange(24) * 2.3)


@dataclass(frozen=True)
class Function:
    """A checked scalar function: float64 array to float64 array of the same shape.

    Args:
        name: how messages call it.
        call: the function itself.
        precision: the relative rounding of its values (float32 callables give about 1e-7).
    """

    name: str
    call: Callable[[Array], Array]
    precision: float

    def __call__(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            values = self.call(x)
        if not np.isfinite(values).all():
            at = float(x.reshape(-1)[int(np.argmin(np.isfinite(values.reshape(-1))))])
            bad = float(values.reshape(-1)[int(np.argmin(np.isfinite(values.reshape(-1))))])
            raise InputError(f"fn must be finite on the real line; {self.name} gave {bad} at x = {at:.6g}")
        return values


def resolve(fn: Any) -> Function:
    """The checked function behind a name, a numpy callable, a tensor callable or a callable of one float.

    Raises:
        InputError: an unknown name; a function that is not applied element by element (such as softmax), that changes
            from call to call (such as dropout), that gives nan or inf, or that takes no arrays, tensors or floats.

    >>> resolve("relu").name
    'relu'
    """
    if isinstance(fn, Function):
        return fn
    if isinstance(fn, str):
        key = fn.lower()
        return _resolve_name(ALIASES.get(key, key))
    if not callable(fn):
        raise InputError(f"fn must be an activation's name or a callable of one argument; got {shown(fn)}")
    with random_states_kept_once():
        return _resolve_callable(fn, _name_of(fn))


@functools.cache
def _resolve_name(name: str) -> Function:
    function = activation(name)
    return Function(name, lambda x: np.asarray(function(x), dtype=np.float64), float(np.finfo(np.float64).eps))


def _resolve_callable(fn: Callable[..., Any], name: str) -> Function:
    failures: list[str] = []
    for adapt in (_through_numpy, _through_torch, _through_torch_single, _through_floats):
        call = adapt(fn)
        if call is None:
            continue
        try:
            with np.errstate(all="ignore"):
                values, precision = call(_PROBE)
        except InputError:
            raise
        except Exception as error:  # whatever a user's function raises on arguments of the wrong kind
            failures.append(f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")
            continue
        _check_elementwise(call, values, name)
        return Function(name, functools.partial(_values, call), precision)
    raise InputError(f"fn must take one array, tensor or float; {name} raised {failures[0]}")


def _values(call: Callable[[Array], tuple[Array, float]], x: Array) -> Array:
    with random_states_kept_once():
        return call(x)[0]


def _as_array(result: Any, name: str) -> tuple[Array, float]:
    array = np.asarray(result)
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise InputError(f"fn must give real numbers; {name} gave {type(result).__name__} of dtype {array.dtype}")
    rounding = float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else float(np.finfo(np.float64).eps)
    return array.astype(np.float64), rounding


def _through_numpy(fn: Callable[..., Any]) -> Callable[[Array], tuple[Array, float]]:
    return lambda x: _as_array(fn(x.copy()), _name_of(fn))


def _through_torch(fn: Callable[..., Any]) -> Callable[[Array], tuple[Array, float]] | None:
    return _with_tensors(fn, "float64")


def _through_torch_single(fn: Callable[..., Any]) -> Callable[[Array], tuple[Array, float]] | None:
    return _with_tensors(fn, "float32")


def _with_tensors(fn: Callable[..., Any], dtype: str) -> Callable[[Array], tuple[Array, float]] | None:
    torch = sys.modules.get("torch")
    if torch is None:
        return None

    def call(x: Array) -> tuple[Array, float]:
        with torch.no_grad():
            result = fn(torch.as_tensor(x.copy(), dtype=getattr(torch, dtype), device="cpu"))
            if isinstance(result, torch.Tensor) and not result.is_complex():
                rounding = torch.finfo(result.dtype).eps if result.dtype.is_floating_point else 1e-15
                return np.asarray(result.detach().cpu().double().numpy(), dtype=np.float64), float(rounding)
        return _as_array(result, _name_of(fn))

    return call


def _through_floats(fn: Callable[..., Any]) -> Callable[[Array], tuple[Array, float]]:
    def call(x: Array) -> tuple[Array, float]:
        values = [float(fn(float(number))) for number in x.reshape(-1)]
        return np.array(values, dtype=np.float64).reshape(x.shape), float(np.finfo(np.float64).eps)

    return call


def _check_elementwise(call: Callable[[Array], tuple[Array, float]], values: Array, name: str) -> None:
    """f is a scalar function if each value depends on its own argument alone, and on nothing else."""
    if values.shape != _PROBE.shape:
        raise InputError(f"fn must keep the shape; {name} took shape {_PROBE.shape} and gave {values.shape}")
    tests = {"": _PROBE, " with other neighbours": _PROBE[5:11], " in another order": _PROBE[::-1]}
    expected = {"": values, " with other neighbours": values[5:11], " in another order": values[::-1]}
    for what, points in tests.items():
        try:
            with np.errstate(all="ignore"):
                again = call(points)[0]
        except Exception as error:
            raise InputError(f"fn must take arrays of any length; {name} raised {type(error).__name__}") from None
        if again.shape != points.shape or not np.allclose(again, expected[what], rtol=1e-5, atol=1e-7, equal_nan=True):
            how = f"other values{what}" if what else "other values when called again"
            raise InputError(f"fn must be a scalar function, applied element by element; {name} gives {how}")
    if not np.isfinite(values).all():
        where = int(np.argmin(np.isfinite(values)))
        raise InputError(
            f"fn must be finite on the real line; {name} gave {float(values[where])} at x = {float(_PROBE[where]):.6g}"
        )


def _name_of(fn: Any) -> str:
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return str(name)[:80]
