"""What a parameter goes through alone before it meets a signal, as 1 + w or exp(w), and what that makes of numbers."""

from __future__ import annotations

import math
from typing import Any

import torch

from initlab.graph import Operation, SignalGraph
from initlab.graph.replay import call
from initlab.guest.doubles import doubled


def steps_of(graph: SignalGraph, value: int | None) -> tuple[list[Operation], Operation | None]:
    """The operations that a parameter goes through before it meets a signal, and the one where it does."""
    steps: list[Operation] = []
    while value is not None:
        readers = graph.consumers(value)
        if not readers:
            return steps, None
        reader = readers[0]
        meets = any(signal != value for signal in graph.signals(reader))
        if meets or reader.traits.norm or len(reader.outputs) != 1 or len(steps) > 8:
            return steps, reader
        steps.append(reader)
        value = reader.outputs[0]
    return steps, None


def evaluated(graph: SignalGraph, steps: list[Operation], value: float) -> float | None:
    """What the steps make of a number; None where they cannot be run on it or make complex ones."""
    made: Any = torch.full((2,), value, dtype=torch.float64, device="cpu")

    def read(index: int) -> torch.Tensor:
        item = graph.values[index]
        held = item.tensor if item.source == "constant" else None
        return made if held is None else doubled(held).flatten()[:1]

    for step in steps:
        if step.function is None or step.traits.passes:
            continue
        try:
            made = call(step, read)
        except (RuntimeError, TypeError, ValueError):
            return None
        if not isinstance(made, torch.Tensor) or made.is_complex():
            return None
    return float(made.flatten()[0])


def adds_back_what(graph: SignalGraph, product: Operation, steps: list[Operation]) -> bool:
    """Whether h·f(w) is added to h itself."""
    if product.kind != "mul" or len(product.outputs) != 1:
        return False
    scale = steps[-1].outputs[0] if steps else None
    signals = set(graph.signals(product)) - {scale}
    return any(reader.kind == "add" and signals & set(reader.inputs) for reader in graph.consumers(product.outputs[0]))


def root_of(graph: SignalGraph, value: int | None) -> float | None:
    """The value of a parameter with which the scale that it makes is zero, where that is a line: 0 of w, −1 of 1 + w.

    None of any other function, and of h·f(w) that is added to h.
    """
    steps, last = steps_of(graph, value)
    if last is None or adds_back_what(graph, last, steps):
        return None
    low, middle, high = (evaluated(graph, steps, number) for number in (0.0, 0.25, 1.0))
    if low is None or middle is None or high is None or low == high:
        return None
    return low / (low - high) if math.isclose(middle, low + (high - low) / 4, abs_tol=1e-6) else None
