"""Functions that are learned beside fixed ones: coefficients of splines, bumps or waves of one number each.

In y = a·b(x) + Σ_k c_k·B_k(x) the fixed b carries the signal and its gradient, and the learned sum begins near zero:
coefficients that made it of unit size would be a rough function of x before anything was learned.

Source: Liu et al., KAN: Kolmogorov-Arnold networks, 2024, section 2.2 (residual activation functions, c_k ~ N(0, 0.1²))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import grew_from, passed
from initlab.planning.signals.data_way import Way, applies, signals_of, way_of
from initlab.planning.signals.ways import read_alone

FARTHEST = 256  # values that a walk looks at


def learned_beside(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """The weights, of those applied, that read functions of one number each and are added to another function of it.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """
    way = way_of(graph)
    return frozenset(name for name, uses in applied.items() if all(_beside(graph, way, use) for use in uses))


def _beside(graph: SignalGraph, way: Way, use: Operation) -> bool:
    roots = {root for value in signals_of(graph, use, way) for root in _roots(graph, way, value)}
    if not roots:
        return False
    others = _added_to(graph, way, use)
    return bool(others) and all(other in roots or grew_from(graph, other, roots) for other in others)


def _roots(graph: SignalGraph, way: Way, value: int) -> Iterator[int]:
    """The values of which all that a weight reads is functions, several of each number; none where it is not so."""
    stack, seen, several = [value], {value}, False
    roots: set[int] = set()
    while stack and len(seen) < FARTHEST:
        item = stack.pop()
        operation = graph.producer(item)
        if operation is None or applies(operation, way):
            return
        read = [v for v in dict.fromkeys(operation.inputs) if v in way.live]
        if len(read) == 1 and _widens(graph, read[0], operation):
            several = True
            roots.update(passed(graph, read[0], parts=True))
        else:
            stack.extend(v for v in read if v not in seen)
            seen.update(read)
    if several and not stack:
        normed = [graph.producer(root) for root in roots]
        yield from roots
        yield from (maker.inputs[0] for maker in normed if maker is not None and maker.traits.norm)


def _widens(graph: SignalGraph, value: int, operation: Operation) -> bool:
    """Whether one number meets several constants, as the knots of a spline."""
    before, after = graph.values[value].shape, graph.values[operation.outputs[0]].shape
    if len(set(operation.inputs)) < 2:  # padding, or a copy
        return False
    return len(before) > 1 and before[-1] == 1 and len(after) == len(before) and after[-1] > 1 == before[-1]


def _added_to(graph: SignalGraph, way: Way, use: Operation) -> list[int]:
    """What a weight's output is added to first, past scales of its own."""
    for value, reader in islice(read_alone(graph, use.outputs[0]), FARTHEST):
        others = [item for item in signals_of(graph, reader, way) if item != value]
        if others:
            return others if reader.traits.combines == "sum" else []
        if not (reader.traits.passes or reader.traits.combines in ("sum", "product")):
            return []
    return []
