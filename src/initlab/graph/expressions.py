"""Elementwise functions found in a recording, as callables for theory, with their moments and their names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from initlab.errors import InputError
from initlab.graph.flow import Flow
from initlab.graph.recording import Operation, Ref
from initlab.graph.replay import call, filled, stand_ins
from initlab.graph.signals import Signal
from initlab.theory import ACTIVATIONS, activation, correlation_map, moments


def scalar_function(flow: Flow, signal: Signal) -> Callable[[Any], Any]:
    """The elementwise function from a signal's root to it, by running its operations again.

    Takes and gives a tensor or a numpy array.
    """
    operations = [flow.graph.operations[i] for i in signal.ops]
    root, head = signal.root, signal.head
    heads = {value: flow.signals[value].head for op in operations for value in op.inputs if value in flow.signals}
    constants = stand_ins(flow, operations)

    def function(x: Any) -> Any:
        given = isinstance(x, np.ndarray | float | int)
        tensor = torch.as_tensor(x, dtype=torch.float64) if given else x
        values = {root: tensor}
        with torch.no_grad():
            for op in operations:
                values[op.outputs[0]] = call(op, lambda value: _scalar(values, heads, constants, value, tensor.dtype))
        result = values[head]
        return result.numpy() if isinstance(x, np.ndarray) else result

    function.__name__ = name_of(operations)
    return function


def _scalar(
    values: dict[int, torch.Tensor],
    heads: dict[int, int],
    constants: dict[int, torch.Tensor],
    value: int,
    dtype: torch.dtype,
) -> torch.Tensor:
    if value in constants:
        constant = constants[value].reshape(-1)[0]
        return constant.to(dtype) if constant.is_floating_point() else constant
    return values[heads.get(value, value)]


def function_moments(flow: Flow, signal: Signal) -> tuple[float, float] | None:
    """E[φ] and E[φ²] of a signal's elementwise function on its Gaussian root.

    None when it is no scalar function, or when most of E[φ²] comes of numbers too rare for a batch to hold: then the
    root's law decides far out, where it is not known to be Gaussian (exp of a long sum).
    """
    root = flow.signals[signal.root]
    points = flow.points.get(signal.root)
    if points is not None:
        return _over(scalar_function(flow, signal), root.center + root.spread * points)
    key = _key(flow, signal, root.center, root.spread)
    if key not in flow.cache:
        flow.cache[key] = _moments(scalar_function(flow, signal), root.center, root.spread)
    found = flow.cache[key]
    return found if isinstance(found, tuple) else None


def function_alike(flow: Flow, signal: Signal) -> float:
    """The correlation, beyond the common mean, of a function of two unit Gaussians that agree as their root does.

    C(ρ) = E[φ(u)φ(v)]/E[φ²] counts the mean with it; what is left is (C(ρ) − m²/E[φ²]) / (1 − m²/E[φ²]).
    """
    root = flow.signals[signal.root]
    agreed = round(root.alike, 2)  # few values, so that a model with many layers computes few
    if not 0 < agreed < 1 or root.center or not root.second:
        return root.alike
    key = ("alike", _key(flow, signal, 0.0, root.spread), agreed)
    if key not in flow.cache:
        try:
            flow.cache[key] = correlation_map(scalar_function(flow, signal), agreed, root.second)
        except (InputError, RuntimeError, ValueError, TypeError):
            flow.cache[key] = agreed
    found, mean = flow.cache[key], replace(signal, alike=0.0).common
    return max(0.0, (float(found) - mean) / (1 - mean)) if isinstance(found, float) and mean < 1 else root.alike


def _over(function: Callable[[Any], Any], points: torch.Tensor) -> tuple[float, float] | None:
    """E[φ] and E[φ²] over numbers that stand for a law."""
    try:
        made = function(points)
    except (RuntimeError, ValueError, TypeError):
        return None
    mean, second = float(made.mean()), float(made.square().mean())
    return (mean, second) if math.isfinite(second) else None


def _moments(function: Callable[[Any], Any], center: float, spread: float) -> tuple[float, float] | None:
    try:
        with torch.no_grad():
            found = moments(lambda z: function(center + spread * z))
    except (InputError, RuntimeError, ValueError, TypeError):
        return None
    told = math.isfinite(found.second) and found.tail < 0.5
    return (float(found.mean), float(found.second)) if told else None


def _key(flow: Flow, signal: Signal, center: float, spread: float) -> tuple[Any, ...]:
    """Names a composite function by its operations, so that a model with many equal layers computes it once."""
    places: dict[int, int] = {signal.root: -1}
    words: list[str] = []

    def word(value: int) -> str:
        head = flow.signals[value].head if value in flow.signals else value
        tensor = flow.value(value).tensor
        return (
            f"#{places[head]}" if head in places else f"={None if tensor is None else tensor.reshape(-1)[:1].tolist()}"
        )

    for place, index in enumerate(signal.ops):
        op = flow.graph.operations[index]
        words.append(f"{op.kind}/{op.name}({filled(op.args, word)!r},{filled(op.kwargs, word)!r})")  # type: ignore[arg-type]  # words, not tensors
        places[op.outputs[0]] = place
    return (tuple(words), f"#{places.get(signal.head, -1)}", round(center, 12), round(spread, 12))


def affine(operations: list[Operation]) -> bool:
    """Whether the operations only scale and shift one signal by numbers."""
    return all(op.traits.skipped or _scales_or_shifts(op) for op in operations)


def _scales_or_shifts(op: Operation) -> bool:
    known = op.traits.linear or op.traits.combines in ("sum", "product")
    return known and sum(isinstance(arg, Ref) for arg in op.args) <= 1


def name_of(operations: list[Operation]) -> str:
    """What to call a function: its operation where it is one, else its operations in order."""
    kinds = [op.kind for op in operations if not op.traits.skipped]
    return kinds[0] if len(kinds) == 1 else "composite of " + ", ".join(dict.fromkeys(kinds))


def known_name(function: Callable[[Any], Any]) -> str | None:
    """The usual name of a function written out by hand, found by its values; None when it is none of the known ones."""
    points = torch.linspace(-8.0, 8.0, 81, dtype=torch.float64, device="cpu") + 0.0137
    try:
        values = function(points).numpy()
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return None
    for name in ACTIVATIONS:
        if name not in ("identity", "step", "sign") and np.allclose(
            values, activation(name)(points.numpy()), atol=2e-6
        ):
            return name
    return None
