"""Linear maps that training leaves as they are: a basis, a filter bank, a mixing matrix, a frozen layer."""

from __future__ import annotations

from initlab.graph.ancestry import from_trained
from initlab.graph.recording import Operation, Recording


def is_fixed_map(graph: Recording, operation: Operation, value: int) -> bool:
    """Whether an operation contracts a value with numbers that neither inputs nor training change.

    Args:
        graph: the recording.
        operation: what reads the value.
        value: the signal.
    """
    others = set(operation.inputs) - {value}
    return operation.traits.combines == "contraction" and bool(others) and all(is_fixed(graph, v) for v in others)


def is_fixed(graph: Recording, value: int) -> bool:
    """Whether a value is made of constants and frozen parameters alone."""
    return value not in from_trained(graph)
