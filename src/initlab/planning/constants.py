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
