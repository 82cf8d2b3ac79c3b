"""Weights of networks without norms: the smaller they begin, the more they learn.

Of y = W₂ φ(W₁ x) with W₁ of size s, a step turns W₁ by 1/s of its angle under Adam. At a large s it hardly turns while
the read-out learns, and the network stays a sum of the functions that were drawn; at a small one the units go where
the answer is. Nothing but the steps hangs on s where φ is homogeneous, and φ bends less where it is not. Branches,
sums and products change nothing of that while no norm undoes s; a softmax does, and what averages by it is left out.
Of weights whose outputs are added before anything reads them each makes its part, so that the sum is as small.

A weight behind small signals could make up for them by being large, and would then be the slow one of its network. It
is no larger than torch's own, std 1/√(3 fan_in), which lets signals down from weight to weight, as long as they last
and no weight further on makes up for them: one that a norm reads, a gate's, one that moves the data. Chains of layers
are left as they are: there it was better for linear answers and worse for others.

Source: Chizat, Oyallon & Bach, On lazy training in differentiable programming, 2019, section 2; Luo, Xu, Ma & Zhang,
Phase diagram for two-layer ReLU neural networks at infinite-width limit, 2021 (lazy at large starts, not at small).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from initlab.graph import Operation, SignalGraph
from initlab.planning.data_way import Way, applies, signals_of, way_of
from initlab.planning.normed import smallest

LEAST = 1 / 3  # the second moment that torch's own layers make of data, with std 1/√(3 fan_in)
LOW = 0.25  # and above which draws are to lie
FAINT = 0.01  # the second moment below which signals are not let down
FARTHEST = 64  # values that a walk from a weight looks at


def plain_second(spread: float, summands: int = 1) -> float:
    """The second moment to aim at.

    Args:
        spread: as for `smallest`.
        summands: of how many outputs that are added the weight's is one.
    """
    return smallest(spread, LEAST, LOW) / summands


def most(std: float, fan_in: float, second: float) -> float:
    """What a weight may be multiplied by: up to torch's own std, or to what makes faint signals.

    Args:
        std: the weight's.
        fan_in: of its geometry.
        second: the second moment of what it makes; infinite where others carry the signals, as beside a branch.
    """
    return max(math.sqrt(LEAST / fan_in) / std, math.sqrt(FAINT / second))


def plain(
    graph: SignalGraph, applied: Mapping[str, Iterable[Operation]], rows: Collection[int], apart: Collection[str]
) -> dict[str, int]:
    """The weights with no norm between the data and them, or right behind -> of how many summands theirs is one.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
        rows: places of operations that look up rows of unit size: they are as good as data.
        apart: weights that are sized otherwise, and no such summands.
    """
    way, names = way_of(graph), {use.index: name for name, uses in applied.items() for use in uses}
    on_it = {index for index in graph.inputs if graph.values[index].dtype.is_floating_point}
    read, summands, made_by = set[int](), dict[str, int](), dict[int, frozenset[str]]()
    for operation in graph.operations:
        signals = signals_of(graph, operation, way)
        if operation.index not in rows and (not signals or not on_it.issuperset(signals) or _sizes(operation)):
            continue
        if way.scaled and len(signals) > 1 and operation.traits.combines != "join":
            continue  # a flow, of whose data no more is known once it was moved
        on_it.update(operation.outputs)
        name = names.get(operation.index, "")
        if name and len(signals) == 1 and _is_free(graph, way, operation):
            read.add(operation.index)
            made_by.update(dict.fromkeys(operation.outputs, frozenset({name}.difference(apart))))
        elif not applies(operation, way):
            made = [made_by.get(value, frozenset()) for value in signals]
            if operation.traits.combines == "sum":
                _count(made, summands)
            carried = made[0] if operation.traits.inverse and made else operation.traits.carries(made)
            made_by.update(dict.fromkeys(operation.outputs, carried))
    found = (name for name, uses in applied.items() if all(use.index in read for use in uses))
    return {name: summands.get(name, 1) for name in found}


def is_chain(graph: SignalGraph) -> bool:
    """Whether no operation adds or multiplies signals of a network: one layer reads another."""
    way = way_of(graph)
    return not any(
        operation.traits.combines in ("sum", "product", "contraction") and len(signals_of(graph, operation, way)) > 1
        for operation in graph.operations
    )


def reaching(graph: SignalGraph, operations: Iterable[Operation]) -> set[int]:
    """The values that some operations hang on."""
    places, found = {operation.index for operation in operations}, set[int]()
    for operation in reversed(graph.operations):
        if operation.index in places or not found.isdisjoint(operation.outputs):
            found.update(operation.inputs)
    return found


def _count(made: Sequence[frozenset[str]], summands: dict[str, int]) -> None:
    """Notes the weights of two or more operands of a sum that other weights made, each all of it."""
    whole = frozenset[str]().union(*made)
    if len(made) > 1 and all(made) and len(whole) == sum(map(len, made)):
        for names in made:
            summands |= {name: summands.get(name, 1) + len(whole - names) for name in names}


def _sizes(operation: Operation) -> bool:
    """Whether an operation sets the size of what it gives, or averages."""
    traits = operation.traits
    return traits.norm or traits.attends or traits.recurrent or operation.kind == "softmax"


def _is_free(graph: SignalGraph, way: Way, operation: Operation) -> bool:
    """Whether weights and functions of one number read what an operation makes, summed and multiplied as it may be."""
    stack, seen = list(operation.outputs), set(operation.outputs)
    while stack:
        for reader in graph.consumers(stack.pop()):
            signals = signals_of(graph, reader, way)
            contracted = reader.traits.combines == "contraction"
            if _sizes(reader) or reader.traits.periodic or len(seen) > FARTHEST or (contracted and len(signals) > 1):
                return False
            if contracted or (reader.traits.curved and len(signals) == 1):
                continue
            stack.extend(value for value in reader.outputs if value not in seen)
            seen.update(reader.outputs)
    return True
