"""Weights whose output moves or scales the data itself: a model of such begins near the identity.

A normalising flow, a Gaussian's mean and log-scale, a step of coordinates: the data goes from end to end element by
element, x ↦ x · exp(s) + t, and s and t are what a network makes. With s and t of unit size each such step multiplies a
scale by e^±1, and densities and gradients by its powers.

Source: Kingma & Dhariwal, Glow, 2018, section 3.3 (the last weight before s and t zero: the identity at first);
Satorras, Hoogeboom & Welling, E(n) equivariant graph neural networks, 2021 (the last weight of a coordinate's step at
gain 0.001 in the authors' code).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping

from initlab.graph import Operation, SignalGraph
from initlab.planning.signals.data_way import Way, applies, signals_of, way_of
from initlab.planning.signals.ways import readings

FARTHEST = 512  # values that a walk looks at


def couplings(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """The weights, of those applied, whose every output moves or scales the data on its way to the model's output.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """
    way = way_of(graph)
    if not way.moved:
        return frozenset()
    return frozenset(name for name, uses in applied.items() if all(_moves(graph, way, use) for use in uses))


def moving_places(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """The weights whose first output is added to numbers that neither the inputs nor a parameter make: places.

    The grid that a flow field moves (Teed & Deng, RAFT, 2020), frames that begin at the origin's axes. Numbers that are
    all one, as a first state is, are none.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """

    def is_place(value: int) -> bool:
        found = graph.values[value]
        if found.source != "constant" or not found.dtype.is_floating_point or found.moments is None:
            return False
        mean, second = found.moments
        return not math.isclose(mean**2, second, rel_tol=1e-6)

    def moves(use: Operation) -> bool:
        for value, reader in readings(graph, use.outputs, lambda _, reader: reader.traits.keeps != "none"):
            if reader.traits.combines == "sum" and any(is_place(other) for other in reader.inputs if other != value):
                return True
        return False

    return frozenset(name for name, uses in applied.items() if moves(uses[0]))


def _moves(graph: SignalGraph, way: Way, use: Operation) -> bool:
    """Whether functions of what a weight makes, and of nothing else, are added to the data or are scales of it."""
    own: dict[int, tuple[bool, bool]] = dict.fromkeys(use.outputs, (False, False))  # value -> (a scale, times data)
    queue = [reader.index for value in use.outputs for reader in graph.consumers(value)]
    seen, met = set(queue), False
    heapq.heapify(queue)
    while queue and len(own) < FARTHEST:
        operation = graph.operations[heapq.heappop(queue)]
        if applies(operation, way):
            return False
        read = [own[value] for value in operation.inputs if value in own]
        others = [value for value in signals_of(graph, operation, way) if value not in own]
        scale, times = any(a for a, _ in read) or operation.traits.positive, any(b for _, b in read)
        if others:
            data = all(value in way.data for value in others)
            combines = operation.traits.combines
            ends = times or not way.last.isdisjoint(operation.outputs)
            moved = data and ends and (combines == "sum" or (combines == "product" and scale))
            met = met or moved
            if moved or not (data and combines in ("product", "contraction")):
                continue
            times = True
        own.update(dict.fromkeys(operation.outputs, (scale, times)))
        after = {reader.index for value in operation.outputs for reader in graph.consumers(value)} - seen
        seen |= after
        for index in after:
            heapq.heappush(queue, index)
    return met
