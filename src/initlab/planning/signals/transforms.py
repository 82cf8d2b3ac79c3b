"""Weights between a Fourier transform and its inverse: their size is told where the numbers are places again.

Between the two a signal's size hangs on how the transforms are scaled and on which frequencies are kept, of which a
smooth signal fills few. Back at places y = F⁻¹(W F x) has the size of W x if all that x holds is kept (Parseval).

Source: Li et al., Fourier neural operator for parametric partial differential equations, 2021, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from initlab.graph import Operation, SignalGraph
from initlab.graph.once import once
from initlab.graph.operations.fourier import growth_of
from initlab.planning.signals.ways import read_alone

FARTHEST = 64  # operations that a walk looks at


@dataclass(frozen=True)
class Back:
    """The inverse transform that a weight's output goes through.

    Args:
        place: which inverse transform of the pass it is, in order.
        growth: what it multiplies the second moment of noise by.
    """

    place: int
    growth: float


def transformed(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> dict[str, Back]:
    """The weights, of those applied, whose output an inverse transform alone reads.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """
    inverses = [operation for operation in graph.operations if operation.traits.inverse]
    found: dict[str, Back] = {}
    for name, uses in applied.items() if inverses else ():
        inverse = inverse_after(graph, uses[0])
        if inverse is not None and len(uses) == 1:
            found[name] = Back(inverses.index(inverse), growth_after(graph, inverse))
    return found


def inverse_after(graph: SignalGraph, use: Operation) -> Operation | None:
    """The inverse transform that alone reads what an operation makes, past what moves or places it."""
    for _, reader in islice(read_alone(graph, use.outputs[0]), FARTHEST):
        if len(reader.outputs) == 1 and reader.traits.inverse:
            return reader
        if len(reader.outputs) != 1 or not (reader.traits.passes or reader.traits.combines in ("write", "join")):
            return None
    return None


def growth_after(graph: SignalGraph, inverse: Operation) -> float:
    """What an inverse transform multiplies the second moment of noise by."""
    return _growth(graph, inverse.index)


@once
def _growth(graph: SignalGraph, place: int) -> float:
    inverse = graph.operations[place]
    return growth_of(graph, inverse, inverse.inputs[0])
