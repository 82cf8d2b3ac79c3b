"""Rows of a table read by number."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from initlab.graph.flow import Flow
from initlab.graph.layers import embedding_geometry
from initlab.graph.operations.arrange import moved
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation, Ref, Value
from initlab.graph.signals import Signal
from initlab.graph.views import ParameterView
from initlab.graph.weights import Shapes, Views, WeightUse, view_of
from initlab.schemes.geometry import Geometry


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


def rows_read(flow: Flow, operation: Operation) -> list[Signal]:
    """Numbers of what is read, whatever the places were found by; of a fixed table, as of codes, they are its own."""
    given = operation.argument(0, "input")
    known = flow.value(given.value) if isinstance(given, Ref) and given.value not in flow.signals else None
    if known is None or known.source != "constant" or not known.is_real or known.moments is None:
        unknown = flow.fresh(operation, None, None, "unknown", operation.kind)
        return moved(flow, operation) if flow.carried(operation) else [unknown]
    mean, second = known.moments
    return [flow.fresh(operation, second, mean, "data", operation.kind) for _ in operation.outputs]


def gathered(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    """table.gather(dim, ids) with ids repeated along the features: rows of a table, or of a stack of them."""
    view, index = view_of(operation.argument(0, "input"), views), operation.argument(2, "index")
    if view is None or view.axes is None or not isinstance(index, Ref) or len(view.shape) < 2:
        return []
    axis = operation.argument(1, "dim") % len(view.shape)
    rows, features = view.axes[axis], view.axes[-1]
    whole = shapes[index.value][-1] == view.shape[-1] and axis < len(view.shape) - 1
    if not whole or len(rows) != 1 or len(features) != 1:
        return []
    reach = max(view.shape[-1], 1)
    found = Geometry(view.whole, 1, reach, out_axis=features[0], in_axis=rows[0], kind="embedding")
    return [WeightUse(view, "embedding", None, found)]


def picked(operation: Operation, views: list[ParameterView], outputs: list[Value]) -> list[ParameterView] | None:
    """Matrices of a stack picked by numbers, as of the experts that a router chose: each is one of its first axis."""
    index = next(operation.argument(*place) for place in operation.traits.rows)
    view, output = views[0], outputs[0]
    axis = operation.argument(1, "dim", 0) if operation.kind == "index_select" else 0
    if not isinstance(index, Ref) or view.axes is None or axis != 0 or len(views) > 1 or len(output.shape) < 3:
        return None
    numbers = len(output.shape) - len(view.shape) + 1
    return [replace(view, shape=output.shape, axes=view.axes[:1] * numbers + view.axes[1:])]


def _bagged(flow: Flow, operation: Operation, rows: Signal) -> Signal:
    """Of k independent rows a bag: E[y²] is k times a row's of their sum, 1/k of it of their mean.

    Of their largest numbers it is E[max zᵢ²], as draws of normal numbers show.
    """
    read, starts = operation.argument(0, "input"), operation.argument(2, "offsets")
    if not isinstance(read, Ref) or rows.second is None:
        return rows
    count = math.prod(flow.value(read.value).shape)
    bags = flow.value(starts.value if isinstance(starts, Ref) else read.value).shape[:1]
    each, mode = max(1, round(count / max(math.prod(bags), 1))), operation.argument(5, "mode", "mean")
    if mode != "max":
        return replace(rows, second=rows.second * (each if mode == "sum" else 1 / each))
    own = torch.Generator(device="cpu").manual_seed(0)
    drawn = torch.randn(_DRAWN, min(each, _MOST), generator=own, device="cpu").amax(1)
    mean, second = float(drawn.mean()), float(drawn.square().mean())
    return replace(rows, second=rows.second * second, mean=math.sqrt(rows.second) * mean)


_DRAWN, _MOST = 4096, 256  # bags that are drawn, and rows of each

OPS = (
    Op(("embedding",), weights=_embedded, rows=((0, "input"), (1, "indices"))),
    Op(("embedding_bag",), weights=_embedded, then=_bagged, rows=((0, "input"), (1, "indices"))),
    Op(("index_select",), rows_read, keeps="part", weights=looked_up, view=picked, rows=((2, "index"),)),
    Op(("gather",), rows_read, keeps="part", weights=gathered, rows=((2, "index"),)),
)
