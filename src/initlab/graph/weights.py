"""A weight as an operation uses it: the operand, and its fans by the axes that the operation sums over and makes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from initlab.graph.recording import Operation, Ref
from initlab.graph.views import ParameterView, Part, Shape
from initlab.schemes.geometry import Geometry


@dataclass(frozen=True)
class WeightUse:
    """One operand that is made of parameters, as an operation uses it.

    Args:
        view: the operand.
        role: its role in this operation.
        signal: the value that it is applied to; None for a bias.
        geometry: the weight's fans and axes, where they can be told.
        beside: another value that the signal is multiplied by on the way, number by number.
    """

    view: ParameterView
    role: str
    signal: int | None = None
    geometry: Geometry | None = None
    beside: int | None = None


Views = dict[int, ParameterView]
Reader = Callable[[Operation, Views, "Shapes"], list[WeightUse]]
Shapes = dict[int, tuple[int, ...]]


def value_of(item: Any) -> int | None:
    """The value that an argument is."""
    return item.value if isinstance(item, Ref) else None


def view_of(item: Any, views: Views) -> ParameterView | None:
    """The parameter that an argument is, or is made of."""
    return views.get(item.value) if isinstance(item, Ref) else None


def biased(
    operation: Operation, views: Views, position: int, name: str = "bias", role: str = "bias"
) -> list[WeightUse]:
    """The vector at one argument, in a role; [] where none is given."""
    view = view_of(operation.argument(position, name), views)
    return [] if view is None else [WeightUse(view, role)]


def from_axes(view: ParameterView, summed: list[int], made: list[int], batch: list[int]) -> Geometry | None:
    """The geometry of a weight of which a product sums over some axes of the view and makes others."""
    if view.axes is None:
        return None
    fan_in = math.prod(view.shape[i] for i in summed)
    fan_out = math.prod(view.shape[i] for i in made if view.axes[i] or not view.parts)
    if not fan_in or not fan_out:
        return None
    whole = view.whole
    ins, outs = original_axes(view, summed), original_axes(view, made)
    if not made and batch and len(whole) > 1:
        outs = original_axes(view, batch)
    if len(whole) < 2 or not ins or not outs or ins[0] == outs[0]:
        return Geometry(whole, fan_in, fan_out) if len(whole) < 2 and whole else None
    return _map(whole, fan_in, fan_out, outs[0], ins[0])


def _map(whole: Shape, fan_in: float, fan_out: float, out_axis: int, in_axis: int) -> Geometry:
    kinds = {(0, 1, 2): "linear", (1, 0, 2): "transformers_conv1d"}
    kind = kinds.get((out_axis, in_axis, len(whole)), "other")
    return Geometry(whole, fan_in, fan_out, out_axis=out_axis, in_axis=in_axis, kind=kind)


def geometry_of_part(part: Part, whole: Shape, geometry: Geometry | None) -> Geometry | None:
    """The geometry of a further part of a map: that of the first, or with its fans where it lies otherwise.

    Args:
        part: the part.
        whole: the shape of the first part.
        geometry: of the first part.
    """
    if geometry is None or (part.whole == whole and part.axes == tuple(range(len(whole)))):
        return geometry
    places = part.axes[geometry.out_axis], part.axes[geometry.in_axis]
    return _map(part.whole, geometry.fan_in, geometry.fan_out, *places)


def original_axes(view: ParameterView, dims: list[int]) -> list[int]:
    """The parameter's axes that some axes of a view run over, the longest first."""
    assert view.axes is not None
    found = [axis for i in dims for axis in view.axes[i]]
    shape = view.whole
    return sorted(dict.fromkeys(found), key=lambda axis: -shape[axis] if axis < len(shape) else 0)
