"""Weights that read sums or averages over neighbours in a graph.

Averages over neighbours lose what sets places apart, layer after layer, and keep what all of them share (Li, Han and
Wu, Deeper insights into graph convolutional networks, 2018). A gain that undoes the loss of size makes what they share
as large as the signal was, and a bias of so many equal numbers is what the layers after it learn by: gain one is the
most such weights get, as in the graph networks of the literature (Kipf and Welling, 2017, take Glorot's law).
"""

from __future__ import annotations

from initlab.graph import Operation, SignalGraph
from initlab.planning.readers import hangs_on


def reads_neighbours(graph: SignalGraph, use: Operation) -> bool:
    """Whether what a weight reads was summed along a graph's edges since the weights before it.

    Args:
        graph: the recording.
        use: the operation that applies the weight.
    """
    stack, seen = list(_signals(graph, use)), set[int]()
    while stack:
        value = stack.pop()
        maker = graph.producer(value)
        if maker is None or value in seen:
            continue
        seen.add(value)
        if maker.traits.accumulates or _by_edges(graph, maker):
            return True
        weighs = maker.traits.combines == "contraction" or maker.traits.rows
        if not (weighs or maker.traits.norm or maker.traits.attends or maker.traits.pools):
            stack.extend(_signals(graph, maker))
    return False


def _by_edges(graph: SignalGraph, operation: Operation) -> bool:
    """Whether a matrix that is given multiplies places: an adjacency."""
    read = _signals(graph, operation)
    if operation.traits.combines != "contraction" or operation.parameters or len(operation.inputs) < 2 or not read:
        return False
    left, right = operation.inputs[:2]
    return right in read and not hangs_on(graph, left, "parameter")


def _signals(graph: SignalGraph, operation: Operation) -> list[int]:
    return [value for value in operation.inputs if graph.values[value].source == "operation"]
