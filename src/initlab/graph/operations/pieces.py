"""Parts of a tensor taken and joined. What is taken is spelled as an index, whatever takes it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from initlab.graph.flow import Flow
from initlab.graph.operations.arrange import moved, same
from initlab.graph.operations.lookups import looked_up, picked
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation, Value
from initlab.graph.regions import settled
from initlab.graph.signals import Signal, trail_of
from initlab.graph.views import Index, ParameterView, Shape, as_one


def pieces(flow: Flow, operation: Operation) -> list[Signal]:
    """Parts of the same kind of numbers, but not the same numbers: products and sums take them as independent."""
    if not flow.carried(operation):
        return [flow.fresh(operation, None, None, "unknown", operation.kind)]
    return moved(flow, operation)


def _at(axis: int, item: int | slice) -> Index:
    return (*(slice(None),) * axis, item)


def _axis(operation: Operation, position: int, rank: int) -> int:
    axis = operation.argument(position, "dim", 0)
    return axis % rank if isinstance(axis, int) else 0


def _split(operation: Operation, shape: Shape, parts: list[Shape]) -> list[Index] | None:
    axis, start, found = _axis(operation, 2, len(shape)), 0, []
    for part in parts:
        found.append(_at(axis, slice(start, start + part[axis])))
        start += part[axis]
    return found


def _unbound(operation: Operation, shape: Shape, parts: list[Shape]) -> list[Index] | None:
    axis = _axis(operation, 1, len(shape))
    return [_at(axis, place) for place in range(len(parts))]


def _selected(operation: Operation, shape: Shape, parts: list[Shape]) -> list[Index] | None:
    place = operation.argument(2, "index", 0)
    return [_at(_axis(operation, 1, len(shape)), place if isinstance(place, int) else 0)]


def _narrowed(operation: Operation, shape: Shape, parts: list[Shape]) -> list[Index] | None:
    axis, start = _axis(operation, 1, len(shape)), operation.argument(2, "start", 0)
    start = start % shape[axis] if isinstance(start, int) and shape[axis] else 0
    return [_at(axis, slice(start, start + parts[0][axis]))]


def _indexed(operation: Operation, shape: Shape, parts: list[Shape]) -> list[Index] | None:
    """x[…], where it holds numbers, slices, None and one ellipsis."""
    given = operation.argument(1, "index")
    items = list(given) if isinstance(given, tuple) else [given]
    if not all(plain_index(item) for item in items):
        return None
    if any(item is Ellipsis for item in items):
        place = next(i for i, item in enumerate(items) if item is Ellipsis)
        spared = len(shape) - sum(item is not None and item is not Ellipsis for item in items)
        items[place : place + 1] = [slice(None)] * spared
    return [tuple(items)]


def plain_index(item: Any) -> bool:
    if isinstance(item, slice):
        return all(edge is None or isinstance(edge, int) for edge in (item.start, item.stop, item.step))
    return item is None or item is Ellipsis or (isinstance(item, int) and not isinstance(item, bool))


def joined(flow: Flow, operation: Operation) -> Signal:
    """The second moment of all the numbers together; constants (an empty cache, zero padding) count with their own."""
    parts: list[tuple[int, float | None, float]] = []
    for value in operation.inputs:
        size = math.prod(flow.value(value).shape)
        if value in flow.signals:
            signal = settled(flow, flow.signals[value])
            parts.append((size, signal.second, signal.center))
        elif flow.value(value).moments is not None:
            mean, second = flow.value(value).moments or (0.0, 0.0)
            parts.append((size, second, mean))
    signals = [signal for _, signal in flow.carried(operation)]
    labels = list(dict.fromkeys(signal.label or "data" for signal in signals))
    label = labels[0] if len(labels) == 1 else "concat of " + ", ".join(labels)
    total = sum(size for size, _, _ in parts)
    if not total or any(second is None for _, second, _ in parts):
        return flow.fresh(operation, None, None, "concat", label, "a concat with an unknown part")
    if len(signals) == 1 and len([size for size, _, _ in parts if size]) == 1:
        return same(flow, operation)
    second = sum(size * (value or 0.0) for size, value, _ in parts) / total
    made = flow.fresh(operation, second, sum(size * mean for size, _, mean in parts) / total, "concat", label)
    if len({signal.region for signal in signals}) > 1:
        flow.follow_scores(operation)
        return made
    trail = trail_of(signals, operation.index)
    return replace(made, region=signals[0].region, trail=trail)  # made of one root, they are not independent


def _stacked(operation: Operation, views: list[ParameterView], outputs: list[Value]) -> list[ParameterView] | None:
    """Parameters of one shape, stacked: one map each."""
    if len({view.whole for view in views}) != 1 or views[0].axes is None:
        return None
    axis = operation.argument(1, "dim", 0) % len(outputs[0].shape)
    axes = (*views[0].axes[:axis], (), *views[0].axes[axis:])
    return [replace(as_one(views), shape=outputs[0].shape, axes=axes)]


def _side_by_side(operation: Operation, views: list[ParameterView], outputs: list[Value]) -> list[ParameterView] | None:
    """Matrices side by side as one map: of one shape as blocks, negative or not, as quaternions have them, or of any.

    A matrix without elements, as of an embedding that is as wide as what reads it, is no part of it.
    """
    parts = [view for view in views if math.prod(view.shape)] or views
    first = parts[0]
    if len(parts) < len(views) and first.shape == outputs[0].shape:
        return [first]
    if len(first.whole) < 2 or first.axes is None:
        return None
    if all(view.whole == first.whole and view.axes == first.axes for view in parts):
        return [replace(as_one(parts), shape=outputs[0].shape)]
    axis = operation.argument(1, "dim", 0)
    whole = isinstance(axis, int) and sum(view.shape[axis] for view in parts) == outputs[0].shape[axis]
    if not whole or not all(_is_whole(view, len(first.axes)) for view in parts):
        return None
    return [replace(as_one(parts), shape=outputs[0].shape, exact=False)]


def _is_whole(view: ParameterView, rank: int) -> bool:
    """Whether a view of so many axes is one parameter, its axes in whatever order."""
    alone = view.exact and view.piece is None and len(view.names) == 1 and view.axes is not None
    return alone and len(view.whole) == rank and all(len(axes) == 1 for axes in view.axes or ())


OPS = (
    Op(("chunk", "split", "split_with_sizes", "tensor_split"), pieces, keeps="pieces", cut=_split),
    Op(("hsplit", "vsplit"), pieces, keeps="pieces"),
    Op(("unbind",), pieces, keeps="pieces", cut=_unbound),
    Op(("getitem",), pieces, keeps="part", cut=_indexed, weights=looked_up, view=picked, rows=((1, "index"),)),
    Op(("select",), moved, keeps="part", cut=_selected),
    Op(("narrow",), moved, keeps="part", cut=_narrowed),
    Op(("slice", "diagonal", "masked_select", "take", "take_along_dim"), moved, keeps="part"),
    Op(("cat",), joined, names=("concat", "concatenate"), combines="join", view=_side_by_side),
    Op(("stack",), joined, combines="join", view=_stacked),
    Op(("hstack", "vstack", "dstack", "column_stack", "meshgrid", "block_diag"), joined, combines="join"),
)
