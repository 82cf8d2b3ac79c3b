"""Elementwise functions found in a recording, as callables for theory, with their moments and their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from initlab.errors import InputError
from initlab.graph.flow import Flow
from initlab.graph.kept import KEPT, exactly
from initlab.graph.recording import Operation, Ref
from initlab.graph.replay import prepared, stand_ins
from initlab.graph.signals import Signal
from initlab.theory import ACTIVATIONS, activation, correlation_map, moments


class ScalarFunction:
    """The elementwise function from a signal's root to it, by running its operations again.

    Takes and gives a tensor or a numpy array.

    Args:
        flow: the walk so far.
        signal: the signal.
    """

    def __init__(self, flow: Flow, signal: Signal) -> None:
        self._operations = [flow.graph.operations[i] for i in signal.ops]
        self._root, self._head = signal.root, signal.head
        read = (value for op in self._operations for value in op.inputs if value in flow.signals)
        self._heads = {value: flow.signals[value].head for value in read}
        self._constants = stand_ins(flow, self._operations)
        self._firsts: dict[torch.dtype, dict[int, torch.Tensor]] = {}
        self.__name__ = name_of(self._operations)

    def __call__(self, x: Any) -> Any:
        given = isinstance(x, np.ndarray | float | int)
        tensor = torch.as_tensor(x, dtype=torch.float64) if given else x
        values = {
            **self._numbers(tensor.dtype),
            **dict.fromkeys((self._root, *self._views.get(self._root, ())), tensor),
        }
        with torch.no_grad():
            for op, step in self._steps:
                step(values)
                for view in self._views.get(op.outputs[0], ()):
                    values[view] = values[op.outputs[0]]
        result = values[self._head]
        return result.numpy() if isinstance(x, np.ndarray) else result

    @cached_property
    def _steps(self) -> list[tuple[Operation, Callable[[dict[int, torch.Tensor]], None]]]:
        return [(op, prepared(op)) for op in self._operations]

    @cached_property
    def _views(self) -> dict[int, list[int]]:
        """By the value in which a function was computed, what reads it in another arrangement."""
        found: dict[int, list[int]] = {}
        for value, head in self._heads.items():
            if value != head and value not in self._constants:
                found.setdefault(head, []).append(value)
        return found

    def _numbers(self, dtype: torch.dtype) -> dict[int, torch.Tensor]:
        """The first number of each constant, in the precision of what the function is given."""
        if dtype not in self._firsts:
            firsts = {value: constant.reshape(-1)[0] for value, constant in self._constants.items()}
            self._firsts[dtype] = {
                value: first.to(dtype) if first.is_floating_point() else first for value, first in firsts.items()
            }
        return self._firsts[dtype]

    @cached_property
    def key(self) -> tuple[Hashable, ...]:
        """What it computes with: torch's functions themselves, their arguments, constants; equal keys, equal functions.

        In this model as in any other.
        """
        places, words = {self._root: -1}, list[Hashable]()

        def word(value: int) -> Hashable:
            if value in self._constants:
                number = self._constants[value].reshape(-1)[:1]
                return number.is_floating_point(), *map(repr, number.tolist())
            return Ref, places.get(self._heads.get(value, value))

        for place, op in enumerate(self._operations):
            words.append((op.function, op.traits.skipped, exactly(op.args, word), exactly(op.kwargs, word)))
            places[op.outputs[0]] = place
        return (*words, places.get(self._head))

    @cached_property
    def degree(self) -> float | None:
        """d, where φ(s·z) = s^d·φ(z) for every s > 0; None where there is none that its operations tell."""
        degrees = {self._root: 1.0}
        for op in self._operations:
            read = [degrees.get(self._heads.get(value, value)) for value in op.inputs if value not in self._constants]
            found = _degree(op, read, len(read) == len(op.inputs))
            if found is None:
                return None
            degrees[op.outputs[0]] = found
        return degrees.get(self._head)


def _degree(op: Operation, read: list[float | None], alone: bool) -> float | None:
    """The degree of what an operation makes of signals of these, alone or beside constants; None where it has none."""
    known = [degree for degree in read if degree is not None]
    if len(known) < len(read) or not known:
        return None
    if op.kind == "mul":
        return sum(known)
    given = (*op.args, *(arg for name, arg in op.kwargs.items() if name != "alpha"))
    numbers = any(isinstance(arg, int | float) for arg in given)
    if op.traits.combines == "sum" and alone and not numbers and len(set(known)) == 1:
        return known[0]
    if op.traits.skipped or (op.traits.linear and len(op.inputs) == 1):
        return known[0]
    return known[0] * op.traits.degree if op.traits.degree and len(op.inputs) == 1 else None


def function_moments(flow: Flow, signal: Signal) -> tuple[float, float] | None:
    """E[φ] and E[φ²] of a signal's elementwise function on its Gaussian root.

    None when it is no scalar function, or when most of E[φ²] comes of numbers too rare for a batch to hold: then the
    root's law decides far out, where it is not known to be Gaussian (exp of a long sum).
    """
    root, function = flow.signals[signal.root], ScalarFunction(flow, signal)
    points = flow.points.get(signal.root)
    if points is not None:
        return _over(function, root.center + root.spread * points)
    degree = function.degree if root.second and not root.center else None
    if degree is not None:
        found = _moments_at(flow, function, 0.0, 1.0)
        return found and (found[0] * root.spread**degree, found[1] * root.spread ** (2 * degree))
    return _moments_at(flow, function, root.center, root.spread)


def _moments_at(flow: Flow, function: ScalarFunction, center: float, spread: float) -> tuple[float, float] | None:
    near = (function.key, round(center, 12), round(spread, 12))  # so that a model with many equal layers computes once
    if near not in flow.cache:
        exact = ("moments", function.key, center, spread)
        flow.cache[near] = KEPT.of(exact, lambda: _moments(function, center, spread))
    found = flow.cache[near]
    return found if isinstance(found, tuple) else None


def function_alike(flow: Flow, signal: Signal, correlation: float) -> float:
    """The correlation, beyond the common mean, of a function of two Gaussians of the root's law and a correlation.

    C(ρ) = E[φ(u)φ(v)]/E[φ²] counts the mean with it; what is left is (C(ρ) − m²/E[φ²]) / (1 − m²/E[φ²]).
    """
    root = flow.signals[signal.root]
    agreed = round(correlation, 2)  # few values, so that a model with many layers computes few
    if not 0 < agreed < 1 or not root.second:
        return correlation
    function = ScalarFunction(flow, signal)
    center, spread = round(root.center, 2), root.spread if root.center or function.degree is None else 1.0
    near = ("alike", function.key, center, round(spread, 12), agreed)
    if near not in flow.cache:
        shifted = (lambda z: function(center + z)) if center else function
        exact = ("alike", function.key, center, spread, agreed)
        flow.cache[near] = KEPT.of(exact, lambda: _alike(shifted, agreed, spread**2))
    found, mean = flow.cache[near], signal.but(alike=0.0).common
    return max(0.0, (float(found) - mean) / (1 - mean)) if isinstance(found, float) and mean < 1 else correlation


def _alike(function: Callable[[Any], Any], agreed: float, second: float) -> float:
    try:
        return correlation_map(function, agreed, second)
    except (InputError, RuntimeError, ValueError, TypeError):
        return agreed


def _over(function: Callable[[Any], Any], points: torch.Tensor) -> tuple[float, float] | None:
    """E[φ] and E[φ²] over numbers that stand for a law."""
    try:
        made = function(points).to(torch.float64)
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
