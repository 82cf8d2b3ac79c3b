"""Codebooks: tables whose rows are chosen by how near they are to a signal, and put in its place.

What an encoder makes and the rows that it is compared with are to be of one size: rows that are larger, or smaller, are
a step that the decoder has to follow and the encoder is pulled along by, its size being that of the loss between both.

Source: van den Oord, Vinyals & Kavukcuoglu, Neural discrete representation learning, 2017, equations 1 to 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from initlab.graph import Operation, SignalGraph

FARTHEST = 64  # operations that a walk back from an index looks at


def codebooks(
    graph: SignalGraph, looked: Mapping[str, Iterable[Operation]], names: Mapping[int, str]
) -> dict[str, frozenset[str]]:
    """By codebook, the weights that made what its rows are compared with.

    Args:
        graph: the recording.
        looked: by table, its look-ups.
        names: place of an operation -> the weight or table that it applies.
    """
    found = {}
    for name, uses in looked.items():
        made, compared = set[str](), False
        for use in uses:
            own, others = _behind(graph, use, name, names)
            compared, made = compared or own, made | others
        if compared:
            found[name] = frozenset(made)
    return found


def _behind(graph: SignalGraph, use: Operation, name: str, names: Mapping[int, str]) -> tuple[bool, set[str]]:
    """(whether the index of a look-up hangs on the table, the weights before it)."""
    own = {value for value in use.inputs if graph.values[value].dtype.is_floating_point}
    stack = [value for value in use.inputs if value not in own]
    seen, compared, made = set(stack), False, set[str]()
    while stack and len(seen) < FARTHEST:
        value = stack.pop()
        compared |= graph.values[value].source == "parameter" and value in own
        operation = graph.producer(value)
        if operation is None:
            continue
        applied = names.get(operation.index, name)
        if applied != name:
            made.add(applied)
            continue
        stack.extend(before := [item for item in operation.inputs if item not in seen])
        seen.update(before)
    return compared, made
