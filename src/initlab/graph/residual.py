"""Residual branches: sums of a value and of what was computed from it, and the weights with which such branches end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from initlab.graph.recording import Operation, Recording
from initlab.graph.traits import Traits
from initlab.graph.uses import Use

_ENDS = ("weight", "norm_weight")


def residual_ends(graph: Recording, uses: Mapping[str, tuple[Use, ...]]) -> tuple[str, ...]:
    """Names of the weights and norm weights that come last in a branch which is added back to what it grew from.

    Args:
        graph: the recording.
        uses: every parameter's uses, which say the roles.
    """
    names: dict[str, None] = {}
    roles = {(use.operation.index, name): use.role for name, found in uses.items() for use in found}
    for operation in graph.operations:
        if operation.kind == "add":
            names.update(dict.fromkeys(_branch_ends(graph, operation, roles)))
    return tuple(names)


def residual_branches(graph: Recording) -> tuple[tuple[str, ...], ...]:
    """The parameters of each branch that is added back to what it grew from, in the order of their first use."""
    return tuple(
        found
        for operation in graph.operations
        if operation.kind == "add"
        for value, others in _grown(graph, operation)
        if (found := _within(graph, value, others))
    )


def _within(graph: Recording, value: int, others: set[int]) -> tuple[str, ...]:
    """The parameters of the operations on the ways from those that the value grew from to it."""
    floor = min(made_at(graph, other) for other in others)
    before: dict[int, Operation] = {}
    stack = [value]
    while stack:
        operation = graph.producer(stack.pop())
        if operation is None or operation.index <= floor or operation.index in before:
            continue
        before[operation.index] = operation
        stack.extend(item for item in operation.inputs if item not in others)
    grown, names = set(others), dict[str, None]()
    for index in sorted(before):
        if grown & set(before[index].inputs):
            grown.update(before[index].outputs)
            names.update(dict.fromkeys(before[index].parameters))
    return tuple(names)


Roles = dict[tuple[int, str], str]


def _branch_ends(graph: Recording, addition: Operation, roles: Roles) -> list[str]:
    """For each operand that was computed from another operand, the last weights or norm of the way."""
    ends: list[str] = []
    for value, others in _grown(graph, addition):
        ends.extend(_last(graph, value, min(made_at(graph, other) for other in others), roles))
    return ends


def _grown(graph: Recording, addition: Operation) -> Iterator[tuple[int, set[int]]]:
    """The operands that were computed from another operand, each with the values that it may have grown from."""
    operands = [
        value for value in dict.fromkeys(addition.inputs) if graph.values[value].source in ("operation", "input")
    ]
    for value in operands:
        others = {before for other in operands if other != value for before in _stream(graph, other)}
        if others and grew_from(graph, value, others):
            yield value, others


def _stream(graph: Recording, value: int) -> list[int]:
    """The value and what it was before it was cast, rearranged, or shifted and scaled by parameters.

    What is scaled alone may be the input that a state-space layer skips its state with (D·x), which is no stream.
    """
    found, shifted = passed(graph, value), False
    while (operation := graph.producer(found[-1])) is not None:
        signals = [item for item in operation.inputs if graph.values[item].source in ("operation", "input")]
        if operation.traits.combines not in ("sum", "product") or not operation.parameters or len(signals) != 1:
            break
        shifted |= operation.traits.combines == "sum"
        found.extend(passed(graph, signals[0]))
    return found if shifted else passed(graph, value)


def passed(graph: Recording, value: int, parts: bool = False) -> list[int]:
    """The value and what it was before operations that only cast or rearrange it.

    Args:
        graph: the recording.
        value: where to begin.
        parts: whether to go on past operations that take a part of it.
    """
    found = [value]
    operation = graph.producer(value)
    while operation is not None and _passes(operation, parts) and operation.inputs:
        found.append(operation.inputs[0])
        operation = graph.producer(operation.inputs[0])
    return found


def _passes(operation: Operation, parts: bool) -> bool:
    return operation.traits.passes if parts else operation.traits.rearranges


def grew_from(graph: Recording, value: int, others: set[int]) -> bool:
    """Whether one of `others` is an ancestor. Only operations after the earliest of them can lie between."""
    floor = min(made_at(graph, other) for other in others)
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


def made_at(graph: Recording, value: int) -> int:
    operation = graph.producer(value)
    return -1 if operation is None else operation.index


def _last(graph: Recording, value: int, floor: int, roles: Roles) -> list[str]:
    """Back to the first weights or norm after `floor`; past a product only along linear operations (a gate is no end).

    None where the branch holds no weight, as in x + x³ of GELU's tanh form.
    """
    found: list[str] = []
    seen: set[int] = set()
    stack = [(value, False)]
    while stack:
        item, product = stack.pop()
        operation = graph.producer(item)
        if operation is None or operation.index <= floor or operation.index in seen:
            continue
        seen.add(operation.index)
        ends = [name for name in operation.parameters if roles.get((operation.index, name)) in _ENDS]
        if ends:
            found.extend(ends)
            continue
        sources = [source for source in operation.inputs if graph.values[source].source == "operation"]
        if not _linear(operation.traits) and (product or len(sources) > 1):
            continue
        stack.extend((source, product or len(sources) > 1) for source in sources)
    return found


def _linear(traits: Traits) -> bool:
    return traits.keeps != "none" or traits.linear or traits.gathers or traits.combines == "product"
