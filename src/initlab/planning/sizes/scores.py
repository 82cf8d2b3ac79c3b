"""What a softmax of attention reads: how large the scores are that queries and keys make.

Where the products of queries and keys are not divided by √d, scores of projections that keep their inputs' size have
variance d, and the softmax begins nearly as a choice of one key (Vaswani et al., 2017, footnote 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from initlab.graph import Operation, SignalGraph
from initlab.planning.parameters.attended import made_by, product_before


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
        product, constant = product_before(graph, operation) if operation.kind == "softmax" else _fused(operation)
        if product is not None and constant is not None:
            made = Queries(constant, graph.values[product.inputs[0]].shape[-1], product.index)
            found |= dict.fromkeys(made_by(graph, product.inputs[0], owner), made)
    return found


def _fused(operation: Operation) -> tuple[Operation | None, float | None]:
    """The same of attention in one call that is told by what number to scale."""
    scale = operation.kwargs.get("scale") if operation.traits.attends else None
    return (operation, float(scale)) if isinstance(scale, int | float) else (None, None)
