"""Weights of networks without norms: the smaller they begin, the more they learn.

Of y = W₂ φ(W₁ x) with W₁ of size s, a step turns W₁ by 1/s of its angle under Adam. At a large s it hardly turns while
the read-out learns, and the network stays a sum of the functions that were drawn; at a small one the units go where
the answer is. Nothing but the steps hangs on s where φ is homogeneous, and φ bends less where it is not. Branches,
sums and products change nothing of that while no norm undoes s; a softmax does, and what averages by it is left out.
A weight that ends a branch behind small signals would have to be large for its share, and would then be the slow one of
its network: it is no larger than torch's own, std 1/√(3 fan_in).

Source: Chizat, Oyallon & Bach, On lazy training in differentiable programming, 2019, section 2; Luo, Xu, Ma & Zhang,
Phase diagram for two-layer ReLU neural networks at infinite-width limit, 2021 (lazy at large starts, not at small).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import from_weights, made_of
from initlab.planning.signals.data_way import Way, applies, signals_of, way_of
from initlab.planning.signals.norms import degree
from initlab.planning.signals.recurrences import makers
from initlab.planning.signals.ways import leads_only_to
from initlab.planning.sizes.normed import smallest

LEAST = 1 / 3  # the second moment that torch's own layers make of data, with std 1/√(3 fan_in)
LOW = 0.25  # and above which draws are to lie
DATA = -1  # the layer before all others
FARTHEST = 64  # values that a walk from a weight looks at


def plain_second(spread: float) -> float:
    """The second moment to aim at; `spread` as for `smallest`."""
    return smallest(spread, LEAST, LOW)


def usual_std(fan_in: float) -> float:
    """The std that torch's own layers have, 1/√(3 fan_in)."""
    return math.sqrt(LEAST / fan_in)


def plain(
    graph: SignalGraph, applied: Mapping[str, Iterable[Operation]], rows: Collection[int], looped: bool
) -> frozenset[str]:
    """The weights, of those applied, of a network without norms.

    Of chains, flows, recurrences and networks with norms those that functions of one number, and nothing else, read,
    with others such alone before them.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
        rows: places of operations that look up rows of unit size: they are as good as data.
        looped: whether weights read what they made before, as of a state.
    """
    way, weights = way_of(graph), {use.index for uses in applied.values() for use in uses}
    wide = not looped and _is_wide(graph, way)
    free = _is_free if wide else bends
    on_it = {index for index in graph.inputs if graph.values[index].dtype.is_floating_point}
    read: set[int] = set()
    learned = _learned(graph, way)
    for operation in graph.operations:
        signals = signals_of(graph, operation, way)
        if not (signals and on_it.issuperset(signals)) and not (wide and operation.index in rows):
            continue
        if operation.index in weights and len(signals) == 1 and free(graph, way, operation):
            read.add(operation.index)
        elif not learned.isdisjoint(operation.inputs) and (
            _sizes(operation, way) or not (wide or _goes_on(operation, signals))
        ):
            continue
        on_it.update(operation.outputs)
    return frozenset(name for name, uses in applied.items() if all(use.index in read for use in uses))


def _learned(graph: SignalGraph, way: Way) -> frozenset[int]:
    """The values that parameters had a part in: what is made of the data without any is data too."""
    return made_of(graph, way.made) | from_weights(graph)


def _is_wide(graph: SignalGraph, way: Way) -> bool:
    """Whether layers are added or multiplied, nothing is normed, and it is no flow, which returns the data as moved."""
    flow = way.moved and not way.data.isdisjoint(graph.outputs)
    return not (flow or _is_chain(graph, way) or any(_norms(graph, way, operation) for operation in graph.operations))


def _norms(graph: SignalGraph, way: Way, operation: Operation) -> bool:
    """Whether an operation is a norm of signals, or divides by what layers made, as a norm that is written out does."""
    by = degree(operation) < 0 or (operation.kind == "div" and len(operation.inputs) == 2)
    norm = operation.traits.norm and bool(signals_of(graph, operation, way))
    return norm or (by and bool(makers(graph, operation.inputs[-1])))


def _is_chain(graph: SignalGraph, way: Way) -> bool:
    """Whether one layer reads another: nothing that two of them made, or parts of what one did, is added or multiplied.

    The data is what a layer before all others made; a function of one layer's output may be written in several steps.
    """
    layer = dict.fromkeys(graph.inputs, DATA)
    for operation in graph.operations:
        read, traits = {layer.get(value, value) for value in signals_of(graph, operation, way)}, operation.traits
        if len(read) > 1 and traits.combines in ("sum", "product", "contraction"):
            return False
        apart = len(read) > 1 or applies(operation, way) or (read != {DATA} and traits.keeps in ("part", "pieces"))
        layer.update((value, value if apart else next(iter(read), DATA)) for value in operation.outputs)
    return True


def _sizes(operation: Operation, way: Way) -> bool:
    """Whether an operation applies a weight, sets the size of what it gives, or averages."""
    return applies(operation, way) or operation.kind == "softmax"


def _is_free(graph: SignalGraph, way: Way, operation: Operation) -> bool:
    """Whether weights and functions of one number read what an operation makes, summed and multiplied as it may be."""

    def ends(reader: Operation) -> bool | None:
        traits, alone = reader.traits, len(signals_of(graph, reader, way)) == 1
        weighs, sizes = traits.combines == "contraction", _sizes(reader, way) or traits.periodic
        if alone and (weighs or (traits.curved and not sizes)):
            return True
        return False if weighs or sizes else None

    return leads_only_to(graph, operation, ends, given=True, farthest=FARTHEST)


def bends(graph: SignalGraph, way: Way, operation: Operation) -> bool:
    """Whether curved functions of one number, and nothing else, read what an operation makes, pooled or in part."""

    def ends(reader: Operation) -> bool | None:
        signals = signals_of(graph, reader, way)
        if len(signals) == 1 and _curved(reader):
            return True
        return None if _passes(reader, signals) else False

    return leads_only_to(graph, operation, ends)


def _curved(operation: Operation) -> bool:
    traits = operation.traits
    return traits.curved and not (traits.periodic or traits.norm or operation.kind == "softmax")


def _passes(operation: Operation, signals: list[int]) -> bool:
    """Whether one signal is rearranged, cut, pooled, thinned out, or has a bias added or a scale of its own."""
    traits = operation.traits
    moved = traits.passes or traits.keeps in ("part", "pieces") or traits.pools or traits.drops
    affine = traits.combines in ("sum", "product") and bool(operation.parameters)
    return len(signals) == 1 and (moved or affine)


def _goes_on(operation: Operation, signals: list[int]) -> bool:
    alone = len(signals) == 1 and _curved(operation)
    return alone or _passes(operation, signals) or operation.traits.combines == "join"
