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
class Part:
    """A further parameter that a view holds.

    Attributes:
        name: its name.
        whole: its shape.
        axes: for each axis of the view's first parameter, its own axis that stands there.
    """

    name: str
    whole: Shape
    axes: tuple[int, ...]


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
        parts: further parameters that it holds as it holds `name`: stacked, side by side, of complex numbers.
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
    parts: tuple[Part, ...] = ()
    places: tuple[tuple[int, int], ...] = ()
    scaled: float = 1.0
    proportional: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters that went into it."""
        return (*self.held, *self.others)

    @property
    def held(self) -> tuple[str, ...]:
        """The parameters of which it holds the elements."""
        return (self.name, *(part.name for part in self.parts))

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
    names = dict.fromkeys(name for view in views for name in view.names if name not in main.held)
    exact = moves is not None or (len(views) == 1 and operation.traits.keeps == "order")
    step = replace(main, shape=output.shape, others=tuple(names), exact=main.exact and exact)
    if moves is not None and len(views) == 1:
        return replace(step, axes=_followed(main.axes, moves(operation, main.shape, output.shape)))
    if main.shape == output.shape and operation.traits.combines != "contraction":
        return step
    return replace(step, axes=None, exact=False)


def as_one(views: list[ParameterView]) -> ParameterView:
    """The first of some views, which holds the parameters of the others as further parts."""
    found: dict[str, Part] = {}
    for view in views:
        own = _axes_beside(views[0], view)
        held = (Part(view.name, view.whole, tuple(range(len(view.whole)))), *view.parts)
        found |= {part.name: replace(part, axes=tuple(part.axes[axis] for axis in own)) for part in held}
    found.pop(views[0].name)
    others = dict.fromkeys(name for view in views for name in view.others if name not in (views[0].name, *found))
    return replace(views[0], parts=tuple(found.values()), others=tuple(others))


def _axes_beside(first: ParameterView, view: ParameterView) -> tuple[int, ...]:
    """For each axis of the first view's parameter, the other's in its place; in order where that is unknown."""
    places = list(zip(first.axes or (), view.axes or (), strict=False))
    if first.axes == view.axes or not all(len(one) == len(other) == 1 for one, other in places):
        return tuple(range(len(view.whole)))
    found = {one[0]: other[0] for one, other in places}
    return tuple(found.get(axis, axis) for axis in range(len(view.whole)))


def complex_parts(operation: Operation, views: list[ParameterView], outputs: list[Value]) -> list[ParameterView] | None:
    """What two parameters of one shape are the real and the imaginary part of: one map."""
    made, first = outputs[0], views[0]
    if len(views) != 2 or not made.dtype.is_complex or first.axes is None:
        return None
    if any(view.shape != made.shape or view.whole != first.whole or view.axes != first.axes for view in views):
        return None
    return [replace(as_one(views), shape=made.shape, exact=False)]


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
