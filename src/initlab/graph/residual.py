"""Residual branches: sums of a value and of what was computed from it, and the weights with which such branches end."""

from __future__ import annotations

from initlab.graph.signal_graph import Operation, SignalGraph


def residual_ends(graph: SignalGraph) -> tuple[str, ...]:
    """Names of the parameters of the last weight or norm of each branch that is added back to what it grew from."""
    names: dict[str, None] = {}
    for operation in graph.operations:
        if operation.kind != "add":
            continue
        for end in branch_ends(graph, operation):
            names.update(dict.fromkeys(end.parameters))
    return tuple(names)


def branch_ends(graph: SignalGraph, addition: Operation) -> list[Operation]:
    """For an addition, the last operation with parameters of each operand that was computed from another operand."""
    operands = [
        value for value in dict.fromkeys(addition.inputs) if graph.values[value].source in ("operation", "input")
    ]
    if len(operands) < 2:
        return []
    ends = []
    for value in operands:
        others = {other for other in operands if other != value}
        if _grew_from(graph, value, others):
            end = _last_with_parameters(graph, value)
            if end is not None and end.index > min(_made_at(graph, other) for other in others):
                ends.append(
                    end
                )  # a sum without weights in its branch, such as x + x³ in GELU's tanh form, is no residual
    return ends


def _grew_from(graph: SignalGraph, value: int, others: set[int]) -> bool:
    """Whether one of `others` is an ancestor. Only operations after the earliest of them can lie between."""
    floor = min(_made_at(graph, other) for other in others)
    seen: set[int] = set()
    stack = [value]
    while stack:
        operation = graph.producer(stack.pop())
        if operation is None or operation.index <= floor:
            continue
        for item in operation.inputs:
            if item in others:
                return True
            if item not in seen:
                seen.add(item)
                stack.append(item)
    return False


def _made_at(graph: SignalGraph, value: int) -> int:
    operation = graph.producer(value)
    return -1 if operation is None else operation.index


def _last_with_parameters(graph: SignalGraph, value: int) -> Operation | None:
    current = graph.producer(value)
    while current is not None and not current.parameters:
        sources = [item for item in current.inputs if graph.values[item].source == "operation"]
        current = graph.producer(sources[0]) if len(sources) == 1 else None
    return current
