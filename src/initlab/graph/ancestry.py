"""What a value came from: before it was cast, rearranged or scaled, from which other values; all that is behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from initlab.graph.once import once
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


def before_factors(signals: frozenset[int], graph: Recording, value: int) -> list[int]:
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


def grew_from(graph: Recording, value: int, others: Iterable[int]) -> bool:
    """Whether one of `others` is an ancestor."""
    operation = graph.producer(value)
    return operation is not None and is_behind(graph, operation, marks(graph, others))


class Marks(NamedTuple):
    """Some values as bits: of those that operations made, and of what was made right from the others."""

    made: int
    first: int


def marks(graph: Recording, values: Iterable[int]) -> Marks:
    """Some values, to be looked for behind many operations (`is_behind`)."""
    bits, made, first = _ancestors(graph).bits, 0, 0
    for value in values:
        if value in bits:
            made |= 1 << bits[value]
        else:
            for reader in graph.consumers(value):
                first |= 1 << bits[reader.outputs[0]] if reader.outputs else 0
    return Marks(made, first)


def is_behind(graph: Recording, operation: Operation, values: Marks) -> bool:
    """Whether an operation reads one of some values, or what was made of it."""
    known = _ancestors(graph)
    before = known.before[operation.index]
    if before & values.made:
        return True
    return bool(values.first and operation.outputs and (before | 1 << known.bits[operation.outputs[0]]) & values.first)


class _Ancestors(NamedTuple):
    """By value that an operation made, its bit; by operation, the bits of all such values behind it."""

    bits: dict[int, int]
    before: list[int]


@once
def _ancestors(graph: Recording) -> _Ancestors:
    """One sweep; a bit for each pair of values, so that no question is a walk."""
    bits, before = dict[int, int](), list[int]()
    for operation in graph.operations:
        found = 0
        for value in dict.fromkeys(operation.inputs):
            maker = graph.values[value].producer
            if maker is not None:
                found |= before[maker] | 1 << bits[value]
        before.append(found)
        for value in operation.outputs:
            bits.setdefault(value, len(bits))
    return _Ancestors(bits, before)


def between(
    graph: Recording, value: int, others: frozenset[int], known: Container[int] = frozenset()
) -> list[Operation]:
    """The operations on the ways from some values to another, in order; a way begins at the last of them that it meets.

    Args:
        graph: the recording.
        value: where the ways end.
        others: where they begin.
        known: places of operations at which they need not be followed further back.
    """
    begun, found, stack = marks(graph, others), dict[int, Operation](), [value]
    while stack:
        operation = graph.producer(stack.pop())
        if operation is None or operation.index in known or operation.index in found:
            continue
        if is_behind(graph, operation, begun):
            found[operation.index] = operation
            stack.extend(item for item in operation.inputs if item not in others)
    return [found[index] for index in sorted(found)]


def from_inputs(graph: Recording) -> frozenset[int]:
    """The values that come from the model's input; a weight that is made from others does not."""
    return _from_source(graph, "input")


@once
def _from_source(graph: Recording, source: str) -> frozenset[int]:
    return made_of(graph, (index for index, value in graph.values.items() if value.source == source))


@once
def from_trained(graph: Recording) -> frozenset[int]:
    """The values that inputs or parameters which are not frozen have a part in."""
    parameters = (i for i, value in graph.values.items() if value.source == "parameter" and not value.frozen)
    return from_inputs(graph) | made_of(graph, parameters)


@once
def from_weights(graph: Recording) -> frozenset[int]:
    """The values that operations which parameters enter have made, and all that they have a part in."""
    return made_of(
        graph, (value for operation in graph.operations if operation.parameters for value in operation.outputs)
    )


def made_of(graph: Recording, values: Iterable[int]) -> frozenset[int]:
    """Some values, and all that they have a part in."""
    found = set(values)
    for operation in graph.operations:
        if not found.isdisjoint(operation.inputs):
            found.update(operation.outputs)
    return frozenset(found)


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
    return value in _from_source(graph, source)
