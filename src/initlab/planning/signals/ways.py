"""Walks ahead: which operations read what one gives, past those that a walk goes on through."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from initlab.graph import Operation, SignalGraph

FARTHEST = 64  # values that a walk goes through


def readings(
    graph: SignalGraph, values: Iterable[int], goes_on: Callable[[int, Operation], bool]
) -> Iterator[tuple[int, Operation]]:
    """(value, what reads it) from some values on, nearest first; each value is gone through once.

    Args:
        graph: the recording.
        values: where the walk begins.
        goes_on: (value, reader) -> whether what the reader makes of it is gone through too.
    """
    queue = deque(values)
    seen = set(queue)
    while queue and len(seen) < FARTHEST:
        value = queue.popleft()
        for reader in graph.consumers(value):
            yield value, reader
            if goes_on(value, reader):
                queue.extend(made for made in reader.outputs if made not in seen)
                seen.update(reader.outputs)


def read_by(graph: SignalGraph, operation: Operation, goes_on: Callable[[Operation], bool]) -> Iterator[Operation]:
    """The operations that read what one gives, and what those that a walk goes on past give."""
    return (reader for _, reader in readings(graph, operation.outputs, lambda _, reader: goes_on(reader)))


def read_alone(graph: SignalGraph, value: int) -> Iterator[tuple[int, Operation]]:
    """(value, what alone reads it), and so on with what that makes, of several parts the first, until several read."""
    while len(readers := graph.consumers(value)) == 1:
        yield value, readers[0]
        value = readers[0].outputs[0]


def leads_only_to(
    graph: SignalGraph,
    operation: Operation,
    ends: Callable[[Operation], bool | None],
    given: bool = False,
    farthest: float = math.inf,
) -> bool:
    """Whether every way from what an operation makes comes to a reader where it may end.

    Args:
        graph: the recording.
        operation: where the ways begin.
        ends: reader -> True where a way may end, False where it may not come, None where it goes on.
        given: whether a way may end with the caller or the model too, or nowhere.
        farthest: how many values may be gone through.
    """
    stack, seen, met = list(operation.outputs), set(operation.outputs), given
    while stack:
        value = stack.pop()
        if not given and graph.leaves(value):
            return False
        for reader in graph.consumers(value):
            ended = ends(reader)
            if ended is None and len(seen) <= farthest:
                stack.extend(made for made in reader.outputs if made not in seen)
                seen.update(reader.outputs)
            elif not ended:
                return False
            met = met or bool(ended)
    return met


def rearranges(operation: Operation) -> bool:
    """Whether an operation only rearranges what it reads, for a walk that goes on past such."""
    return operation.traits.rearranges
