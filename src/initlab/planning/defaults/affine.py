"""A factor and a shift of one shape, x·w + b: hand-written norms, and numbers embedded each by a row of its own."""

from __future__ import annotations

from initlab.graph import SignalGraph
from initlab.graph.ancestry import passed
from initlab.planning.memory.shards import readable
from initlab.planning.memory.zeros import all_zero
from initlab.planning.parameters.scene import Subject


def shifts_beside_factor(subject: Subject) -> bool:
    """Whether a parameter of zeros is added to what another of its shape has multiplied: a bias, no position."""
    graph, tensor = subject.scene.graph, subject.slot.tensor
    if graph is None or not readable(tensor) or not all_zero(tensor) or not subject.uses:
        return False
    sums = [use.operation for use in subject.uses if use.operation.traits.combines == "sum"]
    for addition in sums:
        shifts = {v for v in addition.inputs if subject.value in passed(graph, v, parts=True)}
        shapes = {graph.values[v].shape for v in shifts}
        if any(_multiplied(graph, v, shapes, subject.value) for v in addition.inputs if v not in shifts):
            return True
    return False


def _multiplied(graph: SignalGraph, value: int, shapes: set[tuple[int, ...]], shift: int | None) -> bool:
    """Whether a value is a product with a parameter of one of these shapes that is not the shift, or a sum of such."""
    stack, seen = [value], set[int]()
    while stack:
        operation = graph.producer(passed(graph, stack.pop())[-1])
        if operation is None or operation.index in seen:
            continue
        seen.add(operation.index)
        if operation.traits.combines == "sum":
            stack.extend(operation.inputs)
        elif operation.traits.combines == "product":
            roots = {v: passed(graph, v, parts=True)[-1] for v in operation.inputs}
            factors = {v for v, root in roots.items() if graph.values[root].source == "parameter" and root != shift}
            if any(graph.values[v].shape in shapes for v in factors):
                return True
    return False
