"""Walks ahead: which operations read what one gives, past those that a walk goes on through."""

from __future__ import annotations

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


def rearranges(operation: Operation) -> bool:
    """Whether an operation only rearranges what it reads, for a walk that goes on past such."""
    return operation.traits.rearranges
