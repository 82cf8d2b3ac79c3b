"""Several maps in one tensor, read off the recording: a projection whose output is split, a weight used in pieces."""

from __future__ import annotations

from dataclasses import replace

from initlab.graph.operations import TABLE
from initlab.graph.recording import Operation, Recording
from initlab.graph.rows import interleaved
from initlab.graph.uses import Use
from initlab.graph.views import Index, ParameterView, Shape
from initlab.schemes.geometry import Fans, Geometry, Packing

Packed = dict[str, Geometry]


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
        first = next((use for use in all_uses if use.geometry is not None and use.role == "weight"), None)
        if first is None or first.geometry is None or first.geometry.groups != 1 or first.geometry.packing is not None:
            continue
        if sizes is not None:
            found[name] = blocks(first.geometry, sizes)
        elif first.output is not None and len(all_uses) == 1:
            made = interleaved(graph, first.output, first.geometry)
            found.update({} if made is None else {name: made})
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
    axis = graph.feature_axis(output)
    if not 0 <= axis < len(shape) or shape[axis] != features:
        return None
    return _covering(_cuts(graph, output, axis, features, None), features)


Cuts = list[tuple[int, int]]


def _cuts(graph: Recording, value: int, axis: int, features: int, part: int | None) -> Cuts:
    """The (start, stop) of every part that is taken of a value, through whatever only rearranges it.

    `axis` is its feature axis, or the axis of `part` equal blocks once a reshape made one.
    """
    shape, found = graph.values[value].shape, []
    for operation in graph.consumers(value):
        cut = TABLE[operation.kind].cut
        if cut is not None:
            indices = cut(operation, shape, [graph.values[output].shape for output in operation.outputs])
            found.extend(_along(axis, shape, features, part, indices or []))
        else:
            moved = _moved(graph, operation, value, axis, part)
            if moved is not None:
                found.extend(_cuts(graph, operation.outputs[0], moved[0], features, moved[1]))
    return found


def _along(axis: int, shape: Shape, features: int, part: int | None, indices: list[Index]) -> Cuts:
    """What indices take along an axis; blocks count with all their features, and what takes all is no cut."""
    width, found = 1 if part is None else features // part, []
    for index in indices:
        item = dict(enumerate(item for item in index if item is not None)).get(axis)
        if isinstance(item, slice):
            start, stop, step = item.indices(shape[axis])
            if step == 1 and (start, stop) != (0, shape[axis]):
                found.append((start * width, stop * width))
        elif item is not None and part is not None:
            start = item % shape[axis]
            found.append((start * width, (start + 1) * width))
    return found


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
    if operation.traits.keeps == "order":
        return axis, part
    moves = TABLE[operation.kind].moves
    before, after = graph.values[value].shape, graph.values[operation.outputs[0]].shape
    axes = None if moves is None else moves(operation, before, after)
    news = [new for new, olds in enumerate(axes or ()) if olds == (axis,)]
    if len(news) == 1:
        return (news[0], part) if after[news[0]] == before[axis] else None
    return (news[0], after[news[0]]) if news and part is None and after[news[0]] > 1 else None


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
