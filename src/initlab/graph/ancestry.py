"""What a value came from: before it was cast, rearranged or scaled, from which other values; all that is behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from initlab.graph.recording import Operation, Recording, Value


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


def stream(graph: Recording, value: int) -> list[int]:
    """The value and what it was before it was cast, rearranged, or shifted and scaled by parameters.

    What is scaled alone may be the input that a state-space layer skips its state with (D·x), which is no stream.
    """
    found, shifted = passed(graph, value), False
    while (operation := graph.producer(found[-1])) is not None:
        signals = graph.signals(operation)
        if operation.traits.combines not in ("sum", "product") or not operation.parameters or len(signals) != 1:
            break
        shifted |= operation.traits.combines == "sum"
        found.extend(passed(graph, signals[0]))
    return found if shifted else passed(graph, value)


def before_factors(signals: set[int], graph: Recording, value: int) -> list[int]:
    """What a value was before single numbers multiplied it: α·x + f(x) (Wang et al., DeepNet, 2022); [] if none did."""
    found: list[int] = []
    operation = graph.producer(passed(graph, value)[-1])
    while operation is not None and operation.traits.combines == "product":
        read = [item for item in operation.inputs if item in signals]
        if len(read) != 1 or any(math.prod(graph.values[item].shape) != 1 for item in {*operation.inputs} - {*read}):
            break
        found.extend(passed(graph, read[0]))
        operation = graph.producer(found[-1])
    return found


def grew_from(graph: Recording, value: int, others: set[int], floor: int | None = None) -> bool:
    """Whether one of `others` is an ancestor. Only operations after the earliest of them, `floor`, can lie between."""
    floor = floor_of(graph, others) if floor is None else floor
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


def from_inputs(graph: Recording) -> set[int]:
    """The values that come from the model's input; a weight that is made from others does not."""
    found = {index for index, value in graph.values.items() if value.source == "input"}
    for operation in graph.operations:
        if not found.isdisjoint(operation.inputs):
            found.update(operation.outputs)
    return found


def floor_of(graph: Recording, others: set[int]) -> int:
    """The place of the earliest of several values."""
    return min(made_at(graph, other) for other in others)


def made_at(graph: Recording, value: int) -> int:
    """The place of the operation that made a value; −1 of inputs, parameters and constants."""
    operation = graph.producer(value)
    return -1 if operation is None else operation.index


def behind(
    graph: Recording, *values: int, past: Callable[[Operation], bool] = lambda operation: True
) -> Iterator[Value]:
    """Some values and all that they were made of, each once, back to inputs, parameters and constants.

    Args:
        graph: the recording.
        values: where to begin.
        past: whether to go on past an operation, to what it read.
    """
    stack, seen = list(values), set(values)
    while stack:
        known = graph.values[stack.pop()]
        yield known
        operation = graph.producer(known.index)
        read = operation.inputs if operation is not None and past(operation) else ()
        stack.extend(item for item in read if item not in seen)
        seen.update(read)


def hangs_on(graph: Recording, value: int, source: str) -> bool:
    """Whether a value is made of what comes from there: "input" or "parameter"."""
    return any(known.source == source for known in behind(graph, value))
