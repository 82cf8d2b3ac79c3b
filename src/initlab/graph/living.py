"""What of a pass lives on: all that the caller gets, that the model keeps, or that parameters make.

A number of which nothing comes, as one that a check, a log or the shape of zeros asked for, reads nothing that matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from initlab.graph.recording import Operation, Value


def living(
    operations: Sequence[Operation], values: Mapping[int, Value], kept: Iterable[int], made_of_parameters: set[int]
) -> tuple[tuple[Operation, ...], dict[int, Value]]:
    """The operations of which something comes, in order and numbered anew, and the values that are left.

    Args:
        operations: all that ran.
        values: all that they read and made.
        kept: the values that the caller or the model holds when the pass has ended.
        made_of_parameters: the values that parameters alone made; what reads one is kept, whatever becomes of it.
    """
    wanted, left = set(kept), list[Operation]()
    for operation in reversed(operations):
        trained = any(values[v].source == "parameter" or v in made_of_parameters for v in operation.inputs)
        if trained or not wanted.isdisjoint(operation.outputs):
            wanted.update(operation.inputs)
            left.append(operation)
    left.reverse()
    if len(left) == len(operations):
        return tuple(operations), dict(values)
    places = {operation.index: place for place, operation in enumerate(left)}
    found: dict[int, Value] = {}
    for index, value in values.items():
        if value.producer is None:
            found[index] = value
        elif value.producer in places:
            found[index] = replace(value, producer=places[value.producer])
    return tuple(replace(operation, index=place) for place, operation in enumerate(left)), found
