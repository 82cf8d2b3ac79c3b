"""Numbers that stand beside a signal in what a model computes."""

from __future__ import annotations

from initlab.graph import Operation, SignalGraph


def factor_beside(graph: SignalGraph, operation: Operation) -> float | None:
    """What a product or quotient with one number multiplies a signal by; None for zero and for anything else."""
    number = _number_beside(graph, operation) if operation.traits.combines == "product" else None
    if not number:
        return None
    return number if operation.kind == "mul" else 1 / number


def _number_beside(graph: SignalGraph, operation: Operation) -> float | None:
    """The number beside a signal: given as one, or a constant or parameter of one element."""
    plain = [arg for arg in operation.args if isinstance(arg, int | float) and not isinstance(arg, bool)]
    beside = [graph.values[value] for value in operation.inputs]
    held = [value.tensor for value in beside if value.source in ("constant", "parameter")]
    found = [*plain, *(float(tensor) for tensor in held if tensor is not None and tensor.numel() == 1)]
    return float(found[0]) if len(found) == 1 else None


def inner_factor(graph: SignalGraph, use: Operation) -> float:
    """The constant in φ(c·y) where φ is a bounded or curved function of one number; 1 where there is none.

    A constant between one half and one is part of the function's form: 1.7159·tanh(⅔·y) is made for y of unit size
    (LeCun et al., Efficient backprop, 1998, section 4.4).
    """
    factor, value = 1.0, use.outputs[0]
    for _ in range(8):
        readers = graph.consumers(value)
        if len(readers) != 1 or len(readers[0].outputs) != 1:
            return 1.0
        reader = readers[0]
        if number := factor_beside(graph, reader):
            factor *= number
        elif reader.traits.curved:
            return 1.0 if 0.5 <= abs(factor) <= 1 else factor
        elif not reader.traits.passes and not (reader.kind == "add" and reader.parameters):
            return 1.0
        value = reader.outputs[0]
    return 1.0


def multiplied_by(graph: SignalGraph, use: Operation) -> float:
    """The constant that an operation's output is multiplied by before anything else reads it."""
    factor, value = 1.0, use.outputs[0]
    while len(readers := graph.consumers(value)) == 1 and len(readers[0].outputs) == 1:
        reader = readers[0]
        if number := factor_beside(graph, reader):
            factor *= number
        elif not reader.traits.rearranges:
            break
        value = reader.outputs[0]
    return abs(factor)
