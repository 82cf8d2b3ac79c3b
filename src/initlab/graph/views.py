"""Tensors made of parameters alone (transposed, reshaped, cut, reparametrised), traced back to the parameter's axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from initlab.graph.recording import Operation, Value

Shape = tuple[int, ...]
Axes = tuple[tuple[int, ...], ...]
Index = tuple[int | slice | None, ...]


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
        beside: the other parts of a tensor that holds parameters of several shapes side by side, with their own axes.
        places: (axis, place) for each of the parameter's axes of which one place was read, as of layers in a stack.
        scaled: the second moment of the fixed numbers that the parameter's elements are multiplied by in it (a mask, an
            equalised rate); 1 where they are as they were or what became of them cannot be told.
        proportional: whether it grows as the parameter does, but for a number that was added: through no function of
            one number, as a decay that a sigmoid makes, and not times zero, as a decay of a state's first value.
    """

    name: str
    shape: tuple[int, ...]
    axes: Axes | None
    others: tuple[str, ...] = ()
    piece: Piece | None = None
    exact: bool = True
    whole: tuple[int, ...] = ()
    stacked: bool = False
    beside: tuple[ParameterView, ...] = ()
    places: tuple[tuple[int, int], ...] = ()
    scaled: float = 1.0
    proportional: bool = True

    @classmethod
    def of(cls, value: Value) -> ParameterView:
        return cls(value.name, value.shape, tuple((axis,) for axis in range(len(value.shape))), whole=value.shape)


Moves = Callable[[Operation, Shape, Shape], "Axes | None"]  # (operation, shape before, shape after)
Cut = Callable[[Operation, Shape, list[Shape]], "list[Index] | None"]  # (operation, shape before, shapes of the parts)
View = Callable[[Operation, list[ParameterView], list[Value]], "list[ParameterView] | None"]


def computed(operation: Operation, views: list[ParameterView], output: Value, moves: Moves | None) -> ParameterView:
    """A tensor computed from parameters alone.

    Args:
        operation: what made it.
        views: the parameters, or what was made of them.
        output: the tensor.
        moves: how the operation rearranges axes, where it does.
    """
    main = next(
        (view for view in views if view.shape == output.shape), max(views, key=lambda view: math.prod(view.shape))
    )
    names = dict.fromkeys(name for view in views for name in (view.name, *view.others) if name != main.name)
    exact = moves is not None or (len(views) == 1 and operation.traits.keeps == "order")
    beside = main.beside if len(views) == 1 else ()
    step = replace(main, shape=output.shape, others=tuple(names), exact=main.exact and exact, beside=beside)
    if moves is not None and len(views) == 1:
        moved = moves(operation, main.shape, output.shape)
        beside = tuple(replace(part, axes=_followed(part.axes, moved)) for part in main.beside)
        return replace(step, axes=_followed(main.axes, moved), beside=beside)
    if main.shape == output.shape and operation.traits.combines != "contraction":
        return step
    return replace(step, axes=None, exact=False)


def _followed(axes: Axes | None, moved: Axes | None) -> Axes | None:
    """The parameter's axes after a move of the view's."""
    if axes is None or moved is None:
        return None
    return tuple(tuple(dict.fromkeys(axis for i in before for axis in axes[i])) for before in moved)


def taken(view: ParameterView, indices: list[Index] | None, outputs: list[Value]) -> list[ParameterView]:
    """Parts of a view.

    Args:
        view: what they are taken of.
        indices: what is taken for each, as an index; None where no plain index says.
        outputs: the parts.
    """
    if indices is None:
        return [
            replace(view, shape=part.shape, axes=view.axes if len(part.shape) == len(view.shape) else None)
            for part in outputs
        ]
    return [_indexed(view, index, part) for index, part in zip(indices, outputs, strict=True)]


def _indexed(view: ParameterView, index: Index, part: Value) -> ParameterView:
    if view.axes is None:
        return replace(view, shape=part.shape)
    axes: list[tuple[int, ...]] = []
    axis, piece, places = 0, view.piece, view.places
    for item in index:
        if item is None:
            axes.append(())
            continue
        if isinstance(item, slice):
            start, stop, _ = item.indices(view.shape[axis])
            if (start, stop) != (0, view.shape[axis]) and len(view.axes[axis]) == 1 and piece is None:
                piece = Piece(view.axes[axis][0], start, max(stop - start, 0))
            axes.append(view.axes[axis])
        elif len(view.axes[axis]) == 1:
            places = (*places, (view.axes[axis][0], item % view.shape[axis]))
        axis += 1
    return replace(view, shape=part.shape, axes=(*axes, *view.axes[axis:]), piece=piece, places=places)


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
