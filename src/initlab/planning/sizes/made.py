"""Outputs that are other layers' weights, as in hypernetworks."""

from __future__ import annotations

import math

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import hangs_on
from initlab.graph.recording import Ref


def makes_weights(graph: SignalGraph, use: Operation) -> int:
    """The fan-in of the layer whose weight an operation's output is, as in hypernetworks; 0 where it is none."""
    value, straight = use.outputs[0], True
    while readers := graph.consumers(value):
        if straight and len(readers) == 1 and (fan := _matrix_each(graph, use, readers[0], value)):
            return fan
        given = [reader.argument(1, "weight") if reader.kind in ("linear", "conv") else None for reader in readers]
        if all(isinstance(weight, Ref) and weight.value == value for weight in given):
            return math.prod(graph.values[value].shape[1:])
        right = [reader.argument(1, "other") if reader.kind == "matmul" else None for reader in readers]
        if all(isinstance(w, Ref) and w.value == value for w in right) and not hangs_on(graph, value, "input"):
            return graph.values[value].shape[-2]
        if len(readers) != 1 or not readers[0].traits.passes:
            break
        straight = straight and (readers[0].traits.regroups or readers[0].traits.keeps == "order")
        value = readers[0].outputs[0]
    return 0


def _matrix_each(graph: SignalGraph, use: Operation, reader: Operation, value: int) -> int:
    """The fan-in where each sample gets a matrix of its own, whose elements are the features that were made.

    Heads of attention take their rows from positions: of those a matrix has more than one feature axis holds.
    """
    made, shape = graph.values[use.outputs[0]].shape, graph.values[value].shape
    if len(shape) < 3 or shape[:-2] != made[:-1] or shape[-1] * shape[-2] != made[-1]:
        return 0
    operands = [arg.value if isinstance(arg, Ref) else None for arg in reader.args]
    if operands.count(value) != 1:
        return 0
    place = operands.index(value)
    if reader.kind in ("matmul", "bmm"):
        return shape[-1] if place == 0 else shape[-2]
    if reader.kind == "einsum" and isinstance(reader.args[0], str):
        terms, _, kept = reader.args[0].replace(" ", "").partition("->")
        letters = terms.split(",")[place - 1]
        if kept and len(letters) == len(shape):
            return math.prod(size for letter, size in zip(letters, shape, strict=True) if letter not in kept)
    return 0
