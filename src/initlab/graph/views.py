"""Tensors made of parameters alone (transposed, reshaped, cut, reparametrised), traced back to the parameter's axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from initlab.graph.kinds import UNCHANGED
from initlab.graph.recording import Operation, Value

Axes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Piece:
    """The part of a parameter that a view covers along one of its axes."""

    axis: int
    start: int
    length: int


@dataclass(frozen=True)
class ParameterView:
    """A tensor computed from parameters (and constants) alone.

    Args:
        name: the parameter whose elements it holds.
        shape: this tensor's shape.
        axes: for each of its axes, the parameter's axes that it runs over; None once that cannot be told.
        others: further parameters that went into it (the scale of a weight norm).
        piece: the part of the parameter that it covers, or None for all of it.
        exact: whether its elements are the parameter's own.
        whole: the parameter's own shape.
        stacked: whether it is a stack of parameters of one shape, `name` and `others`.
    """

    name: str
    shape: tuple[int, ...]
    axes: Axes | None
    others: tuple[str, ...] = ()
    piece: Piece | None = None
    exact: bool = True
    whole: tuple[int, ...] = ()
    stacked: bool = False

    @classmethod
    def of(cls, value: Value) -> ParameterView:
        return cls(value.name, value.shape, tuple((axis,) for axis in range(len(value.shape))), whole=value.shape)


def viewed(operation: Operation, views: list[ParameterView], outputs: list[Value]) -> list[ParameterView]:
    """What an operation on parameters alone makes of them."""
    if operation.kind == "stack" and len({view.whole for view in views}) == 1 and views[0].axes is not None:
        axis = operation.argument(1, "dim", 0) % len(outputs[0].shape)
        axes = (*views[0].axes[:axis], (), *views[0].axes[axis:])
        names = tuple(view.name for view in views[1:])
        return [replace(views[0], shape=outputs[0].shape, axes=axes, others=names, stacked=True)]
    if len(views) == 1 and operation.kind in _PIECES:
        return _pieces(operation, views[0], outputs)
    return [_one(operation, views, output) for output in outputs]


def _one(operation: Operation, views: list[ParameterView], output: Value) -> ParameterView:
    main = next((view for view in views if view.shape == output.shape), max(views, key=lambda view: _size(view.shape)))
    names = dict.fromkeys(name for view in views for name in (view.name, *view.others) if name != main.name)
    same = len(views) == 1 and operation.kind in _ALIKE
    step = replace(
        main, shape=output.shape, others=tuple(names), exact=main.exact and (same or operation.kind in _MOVES)
    )
    if operation.kind in _MOVES and len(views) == 1:
        return replace(step, axes=None if main.axes is None else _MOVES[operation.kind](operation, main, output.shape))
    if main.shape == output.shape and operation.kind not in ("matmul", "mm", "bmm", "einsum"):
        return step
    return replace(step, axes=None, exact=False)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


# -- how axes move --


def _integers(operation: Operation, start: int = 1) -> list[int]:
    given = list(operation.args[start:]) + list(operation.kwargs.values())
    if len(given) == 1 and isinstance(given[0], tuple | list):
        given = list(given[0])
    return [item for item in given if isinstance(item, int) and not isinstance(item, bool)]


def _reverse(operation: Operation, view: ParameterView, shape: tuple[int, ...]) -> Axes | None:
    return None if view.axes is None else view.axes[::-1]


def _swap_last(operation: Operation, view: ParameterView, shape: tuple[int, ...]) -> Axes | None:
    axes = view.axes or ()
    return (*axes[:-2], axes[-1], axes[-2]) if len(axes) > 1 else axes


def _swap(operation: Operation, view: ParameterView, shape: tuple[int, ...]) -> Axes | None:
    first, second = [*_integers(operation), 0, 1][:2]
    axes = list(view.axes or ())
    axes[first], axes[second] = axes[second], axes[first]
    return tuple(axes)


def _permute(operation: Operation, view: ParameterView, shape: tuple[int, ...]) -> Axes | None:
    axes = view.axes or ()
    return tuple(axes[i] for i in _integers(operation))


def _regroup(operation: Operation, view: ParameterView, shape: tuple[int, ...]) -> Axes | None:
    """Axes of a contiguous reshape: runs of old axes whose product is that of a run of new axes."""
    grouped = regrouped(view.shape, shape)
    if grouped is None or view.axes is None:
        return None
    return tuple(tuple(dict.fromkeys(axis for i in old for axis in view.axes[i])) for old in grouped)


def regrouped(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[int, ...]] | None:
    """For each axis of `new`, the axes of `old` that it runs over; None when the shapes hold different counts."""
    result: list[tuple[int, ...]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        olds: list[int] = []
        news: list[int] = []
        a = b = 1
        while True:
            if a <= b and i < len(old) and (a < b or not olds):
                a *= old[i]
                olds.append(i)
                i += 1
            elif j < len(new) and (b < a or not news):
                b *= new[j]
                news.append(j)
                j += 1
            else:
                break
            if a == b and olds and news:
                break
        if a != b:
            return None
        real = [k for k in olds if old[k] != 1] or olds
        result.extend(tuple(real) if new[k] != 1 or len(news) == 1 else () for k in news)
    return result


def _broadcast(operation: Operation, view: ParameterView, shape: tuple[int, ...]) -> Axes | None:
    axes = view.axes or ()
    return (*((),) * (len(shape) - len(axes)), *axes)


_MOVES = {
    "t": _reverse,
    "T": _reverse,
    "H": _reverse,
    "mT": _swap_last,
    "mH": _swap_last,
    "adjoint": _swap_last,
    "transpose": _swap,
    "permute": _permute,
    "movedim": lambda operation, view, shape: None,
    "view": _regroup,
    "reshape": _regroup,
    "flatten": _regroup,
    "unflatten": _regroup,
    "view_as": _regroup,
    "reshape_as": _regroup,
    "squeeze": _regroup,
    "unsqueeze": _regroup,
    "expand": _broadcast,
    "expand_as": _broadcast,
    "broadcast_to": _broadcast,
    "repeat": _broadcast,
    "tile": _broadcast,
}
_ALIKE = UNCHANGED


# -- pieces --

_PIECES = frozenset({"chunk", "split", "split_with_sizes", "tensor_split", "unbind", "getitem", "select", "narrow"})


def _pieces(operation: Operation, view: ParameterView, outputs: list[Value]) -> list[ParameterView]:
    kind = operation.kind
    if kind == "getitem":
        return [_item(operation, view, outputs[0])]
    if kind in ("unbind", "select"):
        axis = _axis(operation, view, 1)
        axes = None if view.axes is None else view.axes[:axis] + view.axes[axis + 1 :]
        return [replace(view, shape=output.shape, axes=axes) for output in outputs]
    if kind == "narrow":
        axis, start = _axis(operation, view, 1), operation.argument(2, "start", 0)
        return [_cut(view, outputs[0], axis, start if isinstance(start, int) else 0)]
    axis, start, result = _axis(operation, view, 2), 0, []
    for output in outputs:
        result.append(_cut(view, output, axis, start))
        start += output.shape[axis]
    return result


def _axis(operation: Operation, view: ParameterView, position: int) -> int:
    axis: Any = operation.argument(position, "dim", 0)
    return axis % len(view.shape) if isinstance(axis, int) else 0


def _cut(view: ParameterView, output: Value, axis: int, start: int) -> ParameterView:
    whole = view.axes[axis] if view.axes is not None else ()
    piece = Piece(whole[0], start, output.shape[axis]) if len(whole) == 1 and view.piece is None else view.piece
    return replace(view, shape=output.shape, piece=piece)


def _item(operation: Operation, view: ParameterView, output: Value) -> ParameterView:
    index = operation.argument(1, "index")
    items = index if isinstance(index, tuple) else (index,)
    if view.axes is None or any(item is Ellipsis or not isinstance(item, int | slice | None) for item in items):
        if items and items[0] is Ellipsis and len(items) == 2 and isinstance(items[1], slice) and view.axes is not None:
            return _cut(view, output, len(view.shape) - 1, items[1].indices(view.shape[-1])[0])
        return replace(view, shape=output.shape, axes=view.axes if len(output.shape) == len(view.shape) else None)
    axes: list[tuple[int, ...]] = []
    axis, result = 0, view
    for item in items:
        if item is None:
            axes.append(())
            continue
        if isinstance(item, slice):
            start, stop, _ = item.indices(view.shape[axis])
            if (start, stop) != (0, view.shape[axis]) and len(view.axes[axis]) == 1 and result.piece is None:
                result = replace(result, piece=Piece(view.axes[axis][0], start, max(stop - start, 0)))
            axes.append(view.axes[axis])
        axis += 1
    axes.extend(view.axes[axis:])
    return replace(result, shape=output.shape, axes=tuple(axes))
