"""Several maps in one tensor, read off the recording: a projection whose output is split, a weight used in pieces."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from initlab.graph.kinds import UNCHANGED
from initlab.graph.recording import Operation, Recording
from initlab.graph.uses import Use
from initlab.graph.views import ParameterView, regrouped
from initlab.schemes.geometry import Fans, Geometry, Packing

Packed = dict[str, Geometry]

_THROUGH = UNCHANGED | {"dropout"}
_RESHAPES = frozenset({"view", "reshape", "unflatten", "flatten"})
_SPLITS = frozenset({"chunk", "split", "split_with_sizes", "tensor_split", "unbind"})


def packed_by_split(graph: Recording, uses: dict[str, list[Use]]) -> Packed:
    """Weights whose output is cut along its features into parts that cover it (q, k, v; the halves of a GLU; gates)."""
    found: Packed = {}
    for name, all_uses in uses.items():
        cuts = set()
        for use in all_uses:
            geometry = use.geometry
            if use.role == "weight" and geometry is not None and use.output is not None and geometry.packing is None:
                cuts.add(_cut(graph, use.output, geometry))
        sizes = cuts.pop() if len(cuts) == 1 else None
        geometry = next((use.geometry for use in all_uses if use.geometry is not None and use.role == "weight"), None)
        if sizes is not None and geometry is not None and geometry.groups == 1:
            found[name] = blocks(geometry, sizes)
    return found


def blocks(geometry: Geometry, sizes: tuple[int, ...]) -> Geometry:
    """The geometry with its output axis in blocks; fan_out is a block's share of it."""
    whole = sum(sizes)
    fans = tuple(Fans(geometry.fan_in, geometry.fan_out * size / whole) for size in sizes)
    alike = len(set(sizes)) == 1
    packing = Packing(geometry.out_axis, sizes, (), () if alike else fans)
    return replace(geometry, fan_out=geometry.fan_out * (sizes[0] / whole if alike else 1.0), packing=packing)


def _cut(graph: Recording, output: int, geometry: Geometry) -> tuple[int, ...] | None:
    """The sizes into which the value is cut along its feature axis; None when it is not."""
    shape, features = graph.values[output].shape, geometry.shape[geometry.out_axis]
    axis = 1 if geometry.kind == "conv" else len(shape) - 1
    if len(shape) <= axis or shape[axis] != features:
        return None
    return _covering(_cuts(graph, output, axis, features, None), features)


Cuts = list[tuple[int, int]]


def _cuts(graph: Recording, value: int, axis: int, features: int, part: int | None) -> Cuts:
    """The (start, stop) of every part that is taken of a value, through whatever only rearranges it.

    `axis` is its feature axis, or the axis of `part` equal blocks once a reshape made one.
    """
    shape, found = graph.values[value].shape, []
    for operation in graph.consumers(value):
        if operation.kind in _SPLITS:
            found.extend(_split(graph, operation, axis, len(shape), features, part))
        elif operation.kind == "getitem":
            found.extend(_slice(operation, axis, shape, features, part))
        else:
            moved = _moved(graph, operation, value, axis, part)
            if moved is not None:
                found.extend(_cuts(graph, operation.outputs[0], moved[0], features, moved[1]))
    return found


def _split(graph: Recording, operation: Operation, axis: int, rank: int, features: int, part: int | None) -> Cuts:
    dim = operation.argument(1 if operation.kind == "unbind" else 2, "dim", 0)
    if not isinstance(dim, int) or dim % rank != axis or (operation.kind == "unbind" and part is None):
        return []
    width = 1 if part is None else features // part
    sizes = [1 if operation.kind == "unbind" else graph.values[output].shape[axis] for output in operation.outputs]
    edges = [sum(sizes[:i]) * width for i in range(len(sizes) + 1)]
    return list(pairwise(edges))


def _slice(operation: Operation, axis: int, shape: tuple[int, ...], features: int, part: int | None) -> Cuts:
    index = operation.argument(1, "index")
    items = list(index) if isinstance(index, tuple) else [index]
    if any(not (item is Ellipsis or isinstance(item, int | slice)) for item in items):
        return []
    if Ellipsis in items:
        place = items.index(Ellipsis)
        items[place : place + 1] = [slice(None)] * (len(shape) - len(items) + 1)
    if len(items) <= axis:
        return []
    item, width = items[axis], 1 if part is None else features // part
    if isinstance(item, int):
        start = item % shape[axis]
        return [(start * width, (start + 1) * width)] if part is not None else []
    start, stop, step = item.indices(shape[axis])
    return [(start * width, stop * width)] if step == 1 and (start, stop) != (0, shape[axis]) else []


def _covering(cuts: Cuts, end: int) -> tuple[int, ...] | None:
    """The sizes of parts that lie side by side from 0 to `end`; None when they overlap or leave a gap."""
    ordered = sorted(dict.fromkeys(cuts))
    edges = [0, *(stop for _, stop in ordered)]
    beside = all(start == edge < stop for (start, stop), edge in zip(ordered, edges, strict=False))
    return tuple(stop - start for start, stop in ordered) if len(ordered) > 1 and beside and edges[-1] == end else None


def _moved(
    graph: Recording, operation: Operation, value: int, axis: int, part: int | None
) -> tuple[int, int | None] | None:
    """Where the feature axis (or the axis of blocks) is after an operation that only rearranges."""
    shape, after = graph.values[value].shape, graph.values[operation.outputs[0]].shape
    if operation.kind in _THROUGH:
        return axis, part
    if operation.kind in ("transpose", "permute"):
        order = _order(operation, len(shape))
        return None if order is None else (order.index(axis), part)
    if operation.kind in _RESHAPES:
        grouped = regrouped(shape, after)
        if grouped is None:
            return None
        news = [i for i, olds in enumerate(grouped) if olds == (axis,)]
        if not news:
            return None
        if len(news) == 1:
            return news[0], part
        return (news[0], after[news[0]]) if part is None and after[news[0]] > 1 else None
    return None


def _order(operation: Operation, rank: int) -> list[int] | None:
    given = list(operation.args[1:])
    if len(given) == 1 and isinstance(given[0], tuple | list):
        given = list(given[0])
    numbers = [*given, *operation.kwargs.values()]
    if any(not isinstance(item, int) for item in numbers):
        return None
    dims = [item % rank for item in numbers]
    if operation.kind == "permute":
        return dims
    order = list(range(rank))
    order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
    return order


def packed_by_pieces(uses: dict[str, list[Use]], views: dict[str, list[ParameterView]]) -> Packed:
    """Parameters that are used in pieces which cover one axis: each piece is a map of its own."""
    found: Packed = {}
    for name, pieces in views.items():
        cut = {(view.piece.axis, view.piece.start, view.piece.length) for view in pieces if view.piece is not None}
        axes = {axis for axis, _, _ in cut}
        if len(cut) < 2 or len(axes) != 1 or any(view.piece is None for view in pieces):
            continue
        axis, shape = axes.pop(), pieces[0].whole
        sizes = _covering([(start, start + length) for _, start, length in cut], shape[axis])
        geometry = next((use.geometry for use in uses[name] if use.geometry is not None), None)
        if sizes is not None and geometry is not None:
            fans = tuple(
                next(use.geometry.fans for use, view in zip(_weights(uses[name]), pieces, strict=False)
                     if use.geometry is not None and view.piece is not None and view.piece.length == size)
                for size in sizes
            )  # fmt: skip
            found[name] = replace(geometry, packing=Packing(axis, sizes, (), () if len(set(fans)) == 1 else fans))
    return found


def _weights(uses: list[Use]) -> list[Use]:
    return [use for use in uses if use.role == "weight"]
