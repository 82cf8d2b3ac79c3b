"""Read-outs of models that answer with a choice: scores by which answers are picked, and the answers picked by them.

A detector's classes and boxes go to no loss and to no caller as they are: the best are looked up by topk or by nms.
What is multiplied with other signals afterwards is none: a router's shares, the gate of a pooled graph.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import made_of
from initlab.graph.once import once
from initlab.planning.signals.data_way import Way, applies, way_of


def is_picked(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output is scores by which answers are picked, or answers that are picked by such."""
    return use.index in _picked(graph)


@once
def _picked(graph: SignalGraph) -> frozenset[int]:
    """The places of the operations that make scores or answers."""
    way = way_of(graph)
    ranking = [operation for operation in graph.operations if operation.traits.ranks]
    weighed = [operation for operation in graph.operations if _weighs(operation, way)] if ranking else []
    learned = made_of(graph, (value for use in weighed for value in use.outputs))
    scores = {use.index: ranks for use in weighed if (ranks := _ranked(graph, use, way, learned))}
    places = _places(graph, set().union(*scores.values())) if scores else set()
    answers = (use.index for use in weighed if use.index not in scores and _looked_up(graph, use, way, places))
    return frozenset(scores) | frozenset(answers if places else ())


def _weighs(operation: Operation, way: Way) -> bool:
    return bool(operation.parameters) and operation.traits.combines == "contraction" and applies(operation, way)


def _ranked(graph: SignalGraph, use: Operation, way: Way, learned: frozenset[int]) -> set[int]:
    """Places of the operations that rank scores, where nothing else comes of these; none where anything does."""
    found: set[int] = set()

    def goes_on(value: int, reader: Operation) -> bool:
        if reader.traits.ranks:
            found.add(reader.index)
        others = [v for v in reader.inputs if v != value and v in learned and graph.values[v].is_real]
        if reader.traits.combines not in ("sum", "product", "contraction"):
            return True
        scored = reader.traits.combines == "product" and all(map(_is_gate(graph), others))
        return not others or scored

    return found if _all_along(graph, use, way, goes_on) else set()


def _is_gate(graph: SignalGraph) -> Callable[[int], bool]:
    return lambda value: (maker := graph.producer(value)) is not None and maker.traits.gate


def _places(graph: SignalGraph, ranking: set[int]) -> set[int]:
    """The whole numbers that ranking gives, and what is made of these."""
    found: set[int] = set()
    for operation in graph.operations:
        if operation.index in ranking or not found.isdisjoint(operation.inputs):
            found.update(value for value in operation.outputs if not graph.values[value].is_real)
    return found


def _looked_up(graph: SignalGraph, use: Operation, way: Way, places: set[int]) -> bool:
    """Whether the best of a weight's outputs are looked up, and nothing but that comes of them."""
    found: set[int] = set()

    def goes_on(value: int, reader: Operation) -> bool:
        picks = not places.isdisjoint(reader.inputs)
        found.update({reader.index} if picks else ())
        return True

    def ends(reader: Operation) -> bool:
        return not places.isdisjoint(reader.inputs)

    return _all_along(graph, use, way, goes_on, ends) and bool(found)


def _all_along(
    graph: SignalGraph,
    use: Operation,
    way: Way,
    goes_on: Callable[[int, Operation], bool],
    ends: Callable[[Operation], bool] = lambda reader: False,
) -> bool:
    """Whether all that comes of a weight's output goes on as asked, and meets no other weight.

    Args:
        graph: the recording.
        use: the operation that applies the weight.
        way: the way of the data.
        goes_on: (value, reader) -> whether it may be read so.
        ends: reader -> whether what it makes does not count.
    """
    queue, seen = deque(use.outputs), set(use.outputs)
    while queue:
        value = queue.popleft()
        for reader in graph.consumers(value):
            if applies(reader, way) or not goes_on(value, reader):
                return False
            if not ends(reader):
                made = [v for v in reader.outputs if v not in seen and graph.values[v].is_real]
                queue.extend(made)
                seen.update(made)
    return True
