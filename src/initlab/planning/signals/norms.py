"""Norms: one operation, or written out in arithmetic."""

from __future__ import annotations

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import passed

EPSILON = 1e-3  # the largest number that a norm adds to what it divides by


def is_norm(graph: SignalGraph, operation: Operation) -> bool:
    """Whether what an operation gives has the size that a norm gives it, whatever the size of what it reads."""
    if operation.traits.norm:
        return True
    last = operation.kind in ("mul", "div") and len(operation.inputs) == 2
    return last and any(operation.index in undoing(graph, value) for value in operation.inputs)


def undoing(graph: SignalGraph, value: int) -> set[int]:
    """The readers of a value x that make a norm of it in arithmetic, x · (mean(x²) + ε)^−½, of degree zero in x."""
    found: set[int] = set()
    for reader in graph.consumers(value):
        at, power, own = reader, degree(reader), set(passed(graph, value))
        while power and len(after := graph.consumers(at.outputs[0])) == 1:
            at = after[0]
            if own & {root for item in at.inputs for root in passed(graph, item)}:
                if (at.kind, power) in (("mul", -1), ("div", 1)):
                    found |= {reader.index, at.index}
                break
            power *= degree(at)
    return found


def degree(operation: Operation) -> float:
    """The power with which an operation's output grows as its one signal does; 0 where it is not known."""
    if len(set(operation.inputs)) != 1:
        return 0.0
    numbers = [number for number in operation.attributes.values() if isinstance(number, int | float)]
    if operation.kind == "pow":
        return float(numbers[0]) if numbers else 0.0
    if operation.kind in ("add", "clamp_min") or operation.traits.guard:  # ε
        return 1.0 if all(abs(number) <= EPSILON for number in numbers) else 0.0
    if operation.kind == "mul":
        return 2.0 if len(operation.inputs) == 2 else 0.0
    return 1.0 if operation.traits.proportional else operation.traits.degree
