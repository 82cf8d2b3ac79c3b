"""Weights of plain networks, without norms, branches and products: the smaller they begin, the more they learn.

Of y = W₂ φ(W₁ x) with W₁ of size s, a step turns W₁ by 1/s of its angle under Adam. At a large s it hardly turns while
the read-out learns, and the network stays a sum of the functions that were drawn; at a small one the units go where
the answer is. Nothing but the steps hangs on s where φ is homogeneous, and φ bends less where it is not.

Source: Chizat, Oyallon & Bach, On lazy training in differentiable programming, 2019, section 2; Luo, Xu, Ma & Zhang,
Phase diagram for two-layer ReLU neural networks at infinite-width limit, 2021 (lazy at large starts, not at small).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from initlab.graph import Operation, SignalGraph
from initlab.planning.data_way import Way, signals_of, way_of
from initlab.planning.normed import smallest

LEAST = 1 / 3  # the second moment that torch's own layers make of data, with std 1/√(3 fan_in)
LOW = 0.25  # and above which draws are to lie


def plain_second(spread: float) -> float:
    """The second moment to aim at; `spread` as for `smallest`."""
    return smallest(spread, LEAST, LOW)


def plain(graph: SignalGraph, applied: Mapping[str, Iterable[Operation]]) -> frozenset[str]:
    """The weights, of those applied, between the data and functions of one number, with others such alone before them.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """
    way, weights = way_of(graph), {use.index for uses in applied.values() for use in uses}
    on_it = {index for index in graph.inputs if graph.values[index].dtype.is_floating_point}
    read: set[int] = set()
    for operation in graph.operations:
        signals = signals_of(graph, operation, way)
        if not signals or not on_it.issuperset(signals):
            continue
        if operation.index in weights and len(signals) == 1 and bends(graph, way, operation):
            read.add(operation.index)
        elif not _goes_on(operation, signals):
            continue
        on_it.update(operation.outputs)
    return frozenset(name for name, uses in applied.items() if all(use.index in read for use in uses))


def bends(graph: SignalGraph, way: Way, operation: Operation) -> bool:
    """Whether curved functions of one number, and nothing else, read what an operation makes, pooled or in part."""
    stack = list(operation.outputs)
    while stack:
        value = stack.pop()
        readers = graph.consumers(value)
        if value in graph.outputs or not readers:
            return False
        for reader in readers:
            if _curved(reader) and len(signals_of(graph, reader, way)) == 1:
                continue
            if not _passes(reader, signals_of(graph, reader, way)):
                return False
            stack.extend(reader.outputs)
    return True


def _curved(operation: Operation) -> bool:
    traits = operation.traits
    return traits.curved and not (traits.periodic or traits.norm or operation.kind == "softmax")


def _passes(operation: Operation, signals: list[int]) -> bool:
    """Whether one signal is rearranged, cut, pooled, thinned out, or has a bias added."""
    traits = operation.traits
    moved = traits.passes or traits.keeps in ("part", "pieces") or traits.pools or traits.drops
    return len(signals) == 1 and (moved or (traits.combines == "sum" and bool(operation.parameters)))


def _goes_on(operation: Operation, signals: list[int]) -> bool:
    alone = len(signals) == 1 and _curved(operation)
    return alone or _passes(operation, signals) or operation.traits.combines == "join"
