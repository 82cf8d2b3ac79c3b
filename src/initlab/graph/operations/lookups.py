"""Rows of a table read by number."""

from __future__ import annotations

from initlab.graph.layers import embedding_geometry
from initlab.graph.operations.arrange import moved
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation, Ref
from initlab.graph.weights import Shapes, Views, WeightUse, view_of


def _embedded(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    for item in (operation.argument(0, "input"), operation.argument(1, "weight")):
        view = view_of(item, views)
        if view is not None and len(view.shape) == 2:
            same = view.whole == view.shape
            return [WeightUse(view, "embedding", None, embedding_geometry(view.shape) if same else None)]
    return []


def looked_up(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    """table[ids] and index_select: rows of a parameter read by number."""
    view = view_of(operation.argument(0, "input"), views)
    index = next(operation.argument(*place) for place in operation.traits.rows)
    if view is None or len(view.shape) != 2 or not isinstance(index, Ref):
        return []
    return [WeightUse(view, "embedding", None, embedding_geometry(view.shape))]


OPS = (
    Op(("embedding", "embedding_bag"), weights=_embedded, rows=((0, "input"), (1, "indices"))),
    Op(("index_select",), moved, keeps="part", weights=looked_up, rows=((2, "index"),)),
)
