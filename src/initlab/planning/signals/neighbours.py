"""Weights that read sums or averages over neighbours in a graph.

Averages over neighbours lose what sets places apart, layer after layer, and keep what all of them share (Li, Han and
Wu, Deeper insights into graph convolutional networks, 2018). A gain that undoes the loss of size makes what they share
as large as the signal was, and a bias of so many equal numbers is what the layers after it learn by: gain one is the
most such weights get, as in the graph networks of the literature (Kipf and Welling, 2017, take Glorot's law).
"""

from __future__ import annotations

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import hangs_on
from initlab.graph.once import once


def reads_neighbours(graph: SignalGraph, use: Operation) -> bool:
    """Whether what a weight reads was summed along a graph's edges since the weights before it.

    Args:
        graph: the recording.
        use: the operation that applies the weight.
    """
    return not _sums_of_neighbours(graph).isdisjoint(use.inputs)


@once
def _sums_of_neighbours(graph: SignalGraph) -> set[int]:
    """The values that are summed along edges, and what is made of them up to the next weight, norm or pool."""
    summed = set[int]()
    for operation in graph.operations:
        traits = operation.traits
        ends = traits.combines == "contraction" or traits.rows or traits.norm or traits.attends or traits.pools
        goes_on = not ends and not summed.isdisjoint(operation.inputs)
        if goes_on or traits.accumulates or _by_edges(graph, operation):
            summed.update(operation.outputs)
    return summed


def _by_edges(graph: SignalGraph, operation: Operation) -> bool:
    """Whether a matrix that is given multiplies places, an adjacency, and no weight that is made of another."""
    if operation.traits.combines != "contraction" or operation.parameters or len(operation.inputs) < 2:
        return False
    left, right = operation.inputs[:2]
    made = graph.values[right].source == "operation" and hangs_on(graph, right, "input")
    return made and not hangs_on(graph, left, "parameter")
