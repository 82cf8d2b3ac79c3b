"""The same numbers elsewhere: views, permutations, padding, and where each axis goes."""

from __future__ import annotations

import math

from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation
from initlab.graph.regions import measured, settled
from initlab.graph.signals import Layout, Signal
from initlab.graph.views import Axes, Shape, regrouped


def same(flow: Flow, operation: Operation) -> Signal:
    """The numbers as they are, or but for a few."""
    signal = flow.carried(operation)[0][1]
    return signal.but(trail=signal.onward(operation.index))


def moved(flow: Flow, operation: Operation) -> list[Signal]:
    """The same numbers elsewhere, or some of them."""
    signal = flow.carried(operation)[0][1]
    trail = signal.onward(operation.index)
    arguments = repr((operation.args[1:], sorted(operation.kwargs.items())))
    part = operation.traits.keeps == "part"
    return [
        signal.but(layout=(*signal.layout, Layout(operation.kind, arguments, place, part)), trail=trail)
        for place in range(len(operation.outputs))
    ]


def padded(flow: Flow, operation: Operation) -> Signal:
    """The numbers beside a constant, zero if none is given; copies of them in the other modes."""
    signal = same(flow, operation)
    if operation.argument(2, "mode", "constant") != "constant":
        return signal
    before, after = (math.prod(flow.value(v).shape) for v in (flow.carried(operation)[0][0], operation.outputs[0]))
    share, value = min(before / after, 1.0) if after else 1.0, operation.argument(3, "value", 0.0) or 0.0
    if share == 1.0 or not isinstance(value, int | float):
        return signal
    signal = settled(flow, flow.carried(operation)[0][1]).but(trail=signal.trail)
    if signal.second is None:
        return signal
    second = share * signal.second + (1 - share) * value**2
    made = flow.fresh(operation, second, share * signal.center + (1 - share) * value, signal.source, signal.label)
    return made.but(where=signal.where, region=signal.region, trail=signal.trail, note=signal.note)


def lessened(flow: Flow, operation: Operation) -> Signal:
    """A triangle of the numbers, or their real part: what of their second moment is left, noise shows."""
    signal = flow.carried(operation)[0][1]
    found = None
    if signal.second is not None:
        found = measured(flow, operation, signal, signal.source, signal.label or operation.kind)
    return same(flow, operation) if found is None else found.but(where=signal.where, note=signal.note)


def _each(rank: int) -> list[tuple[int, ...]]:
    return [(axis,) for axis in range(rank)]


def _integers(operation: Operation) -> list[int]:
    given = [*operation.args[1:], *operation.kwargs.values()]
    if len(given) == 1 and isinstance(given[0], tuple | list):
        given = list(given[0])
    return [item for item in given if isinstance(item, int) and not isinstance(item, bool)]


def _reversed(operation: Operation, before: Shape, after: Shape) -> Axes | None:
    return tuple(_each(len(before))[::-1])


def _last_swapped(operation: Operation, before: Shape, after: Shape) -> Axes | None:
    axes = _each(len(before))
    return (*axes[:-2], axes[-1], axes[-2]) if len(axes) > 1 else tuple(axes)


def _swapped(operation: Operation, before: Shape, after: Shape) -> Axes | None:
    first, second = [*_integers(operation), 0, 1][:2]
    axes = _each(len(before))
    axes[first], axes[second] = axes[second], axes[first]
    return tuple(axes)


def _permuted(operation: Operation, before: Shape, after: Shape) -> Axes | None:
    order = _integers(operation)
    return tuple((axis % len(before),) for axis in order) if len(order) == len(before) else None


def _regrouped(operation: Operation, before: Shape, after: Shape) -> Axes | None:
    """Axes of a contiguous reshape: runs of old axes whose product is that of a run of new axes."""
    groups = regrouped(before, after)
    return None if groups is None else tuple(groups)


def _broadcast(operation: Operation, before: Shape, after: Shape) -> Axes | None:
    return (*((),) * (len(after) - len(before)), *_each(len(before)))


def _axes_moved(operation: Operation, before: Shape, after: Shape) -> Axes | None:
    """torch.movedim: the named axes to their new places, the rest in order."""
    given = (operation.argument(1, "source"), operation.argument(2, "destination"))
    sources, places = (
        [axis % len(before) for axis in ((item,) if isinstance(item, int) else tuple(item or ()))] for item in given
    )
    order = [axis for axis in range(len(before)) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return tuple((axis,) for axis in order)


OPS = (
    Op(("t", "T", "H"), moved, keeps="values", moves=_reversed),
    Op(("mT", "mH", "adjoint"), moved, keeps="values", moves=_last_swapped, regroups=True),
    Op(("transpose",), moved, names=("swapaxes", "swapdims"), keeps="values", moves=_swapped),
    Op(("permute",), moved, keeps="values", moves=_permuted),
    Op(
        ("view", "reshape", "flatten", "ravel", "unflatten", "squeeze", "unsqueeze"), moved,
        keeps="values", moves=_regrouped, regroups=True,
    ),
    Op(
        ("view_as", "reshape_as"), moved, keeps="values", moves=_regrouped, regroups=True, shaped_like=(1, "other"),
    ),
    Op(("expand", "broadcast_to", "repeat", "tile"), moved, keeps="values", moves=_broadcast),
    Op(("expand_as",), moved, keeps="values", moves=_broadcast, shaped_like=(1, "other")),
    Op(("movedim",), moved, names=("moveaxis",), keeps="values", moves=_axes_moved),
    Op(
        ("repeat_interleave", "pixel_shuffle", "pixel_unshuffle",
         "channel_shuffle", "unfold", "unsqueeze_copy", "atleast_1d", "atleast_2d", "atleast_3d"), moved,
        keeps="values",
    ),
    Op(("roll", "flip", "rot90"), moved, keeps="values", mixes=True),
    Op(("sort",), moved, mixes=True, ranks=True),
    Op(("as_strided", "iter"), moved),
    Op(("pad",), padded, keeps="values"),
    Op(("pack_padded_sequence", "pad_packed_sequence"), same, keeps="values"),
    Op(("tril", "triu"), lessened, linear=True),
    Op(("nan_to_num",), same, guard=True),
)  # fmt: skip
