"""Where the features that an operation made lie in what was rearranged of its output."""

from __future__ import annotations

from initlab.graph.operations import TABLE
from initlab.graph.recording import Operation, Recording
from initlab.graph.views import Axes


def axes_of_features(graph: Recording, operation: Operation, value: int, parts: bool = False) -> frozenset[int] | None:
    """The axes, counted from the front, that hold an operation's features and nothing else in a value.

    Features that were parted, as a detector's into anchors and classes, lie along several; joined with places, along
    none.

    Args:
        graph: the recording.
        operation: what made them.
        value: its output, or what came of it.
        parts: whether a part of its output is followed too.

    Returns:
        The axes; None where the value is not its output under other axes.
    """
    moves: list[tuple[Operation, int]] = []
    while value not in operation.outputs:
        maker = graph.producer(value)
        if maker is None or not maker.inputs:
            return None
        if not (maker.traits.rearranges or (parts and maker.traits.keeps in ("part", "pieces"))):
            return None
        moves.append((maker, value))
        value = maker.inputs[0]
    axes = frozenset({operation.traits.features % max(1, len(graph.values[value].shape))})
    for move, made in reversed(moves):
        shapes = graph.values[move.inputs[0]].shape, graph.values[made].shape
        found = _moved(graph, move, made)
        if found is not None:
            axes = frozenset(place for place, of in enumerate(found) if of and axes.issuperset(of))
        elif shapes[0] != shapes[1]:
            axes = frozenset()
    return axes


def _moved(graph: Recording, move: Operation, made: int) -> Axes | None:
    """For each axis of what an operation made, the axes of its input that it runs over; None where nothing says."""
    op, before = TABLE[move.kind], graph.values[move.inputs[0]].shape
    if op.moves is not None:
        return op.moves(move, before, graph.values[made].shape)
    taken = None if op.cut is None else op.cut(move, before, [graph.values[value].shape for value in move.outputs])
    if taken is None:
        return None
    index, axes, axis = taken[move.outputs.index(made)], list[tuple[int, ...]](), 0
    for item in index:
        axes.extend([()] if item is None else [(axis,)] if isinstance(item, slice) else [])
        axis += item is not None
    return (*axes, *((rest,) for rest in range(axis, len(before))))
