"""What a softmax of attention reads: how large the scores are that queries and keys make.

Where the products of queries and keys are not divided by √d, scores of projections that keep their inputs' size have
variance d, and the softmax begins nearly as a choice of one key (Vaswani et al., 2017, footnote 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from initlab.graph import Operation, SignalGraph
from initlab.planning.parameters.attended import FARTHEST, made_by
from initlab.planning.signals.constants import factor_beside


@dataclass(frozen=True)
class Queries:
    """What becomes of the queries that a weight makes.

    Args:
        constant: what their products with keys are multiplied by before a softmax reads them.
        size: the length of a query.
        place: the operation that multiplies them by keys.
    """

    constant: float
    size: int
    place: int = -1


def queries_of(graph: SignalGraph, owner: Mapping[str, str]) -> dict[str, Queries]:
    """The weights that make queries for a softmax.

    Those whose products are scaled by more than numbers are not listed.

    Args:
        graph: the recording.
        owner: every canonical name, tied ones too -> the name of its entry.
    """
    found: dict[str, Queries] = {}
    for operation in graph.operations:
        product, constant = _before(graph, operation) if operation.kind == "softmax" else _fused(operation)
        if product is not None:
            made = Queries(constant, graph.values[product.inputs[0]].shape[-1], product.index)
            found |= dict.fromkeys(made_by(graph, product.inputs[0], owner), made)
    return found


def _fused(operation: Operation) -> tuple[Operation | None, float]:
    """The same of attention in one call that is told by what number to scale."""
    scale = operation.kwargs.get("scale") if operation.traits.attends else None
    return (operation, float(scale)) if isinstance(scale, int | float) else (None, 1.0)


def _before(graph: SignalGraph, softmax: Operation) -> tuple[Operation | None, float]:
    """The product of two signals that a softmax reads, past masks and what is added, and the number that scales it."""
    stack = [(softmax.inputs[0], 1.0)]
    for _ in range(FARTHEST):
        if not stack:
            break
        value, constant = stack.pop()
        maker = graph.producer(value)
        if maker is None:
            continue
        signals = [item for item in maker.inputs if graph.values[item].source == "operation"]
        traits = maker.traits
        if traits.combines == "contraction":
            if len(signals) == 2 and not maker.parameters:
                return maker, constant
        elif traits.combines == "product":
            if number := factor_beside(graph, maker):
                stack.append((signals[0], constant * number))
        elif traits.passes or traits.drops or traits.combines in ("sum", "choice"):
            stack.extend((item, constant) for item in reversed(signals))
    return None, 1.0
