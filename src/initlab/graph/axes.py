"""Where the features that an operation made lie in what was rearranged of its output."""

from __future__ import annotations

from initlab.graph.operations import TABLE
from initlab.graph.recording import Operation, Recording


def axes_of_features(graph: Recording, operation: Operation, value: int) -> frozenset[int] | None:
    """The axes, counted from the front, that hold an operation's features and nothing else in a value.

    Features that were parted, as a detector's into anchors and classes, lie along several; joined with places, along
    none.

    Args:
        graph: the recording.
        operation: what made them.
        value: its output, or what came of it.

    Returns:
        The axes; None where the value is not its output under other axes.
    """
    moves: list[Operation] = []
    while value not in operation.outputs:
        maker = graph.producer(value)
        if maker is None or not maker.inputs or not maker.traits.rearranges:
            return None
        moves.append(maker)
        value = maker.inputs[0]
    axes = frozenset({operation.traits.features % max(1, len(graph.values[value].shape))})
    for move in reversed(moves):
        shapes = graph.values[move.inputs[0]].shape, graph.values[move.outputs[0]].shape
        rearranged = TABLE[move.kind].moves
        found = rearranged(move, *shapes) if rearranged is not None else None
        if found is not None:
            axes = frozenset(place for place, of in enumerate(found) if of and axes.issuperset(of))
        elif shapes[0] != shapes[1]:
            axes = frozenset()
    return axes
