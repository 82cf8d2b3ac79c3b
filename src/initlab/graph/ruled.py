"""What the rule of an operation says of its outputs."""

from __future__ import annotations

import warnings

from initlab.graph.flow import Flow
from initlab.graph.operations import TABLE
from initlab.graph.recording import Operation
from initlab.graph.signals import Signal


def ruled(flow: Flow, operation: Operation) -> list[Signal]:
    """What the rule of an operation says of its outputs. One that fails says nothing: a pass measures what follows."""
    try:
        return TABLE[operation.kind].signals(flow, operation)
    except Exception as error:
        words = f"the rule of {operation.kind} failed: {type(error).__name__} {error}".rstrip()
        warnings.warn(f"{words}; what follows is measured. Please report it with the model.", RuntimeWarning, 2)
        return [flow.unsure(operation, words) for _ in operation.outputs]
