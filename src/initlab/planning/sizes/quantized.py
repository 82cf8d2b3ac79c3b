"""Weights whose outputs the nearest of some codes stand for, or that make these codes: they begin small.

What keeps a signal near its code is a loss in units of the signal, beside one of what is decoded; a large one holds the
codes where they were drawn (van den Oord, Vinyals & Kavukcuoglu, Neural discrete representation learning, 2017,
equation 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import behind, hangs_on, passed

NEAREST = ("argmin", "argmax")


def quantized(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """The weights that what is compared, signals and codes, was made by last.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """
    of = {use.index: name for name, uses in applied.items() for use in uses}
    found: set[str] = set()
    for lookup in graph.operations:
        places = [value for value in lookup.inputs if graph.producer(value) and not graph.values[value].is_real]
        codes = [value for value in lookup.inputs if graph.values[value].is_real]
        if places and len(codes) == 1 and _are_codes(graph, passed(graph, codes[0])[-1], places):
            found.update(_makers(graph, places, of))
    return frozenset(found)


def _are_codes(graph: SignalGraph, rows: int, places: list[int]) -> bool:
    """Whether rows are fixed, or made of what is, and the nearest of them are looked up."""
    known = list(behind(graph, *places))
    nearest = any((maker := graph.producer(value.index)) and maker.kind in NEAREST for value in known)
    fixed = graph.values[rows].source == "constant" or rows in {value.index for value in known}
    return nearest and fixed and graph.values[rows].source != "parameter" and not hangs_on(graph, rows, "input")


def _makers(graph: SignalGraph, values: list[int], of: Mapping[int, str]) -> Iterator[str]:
    """The weights that some values were made by last."""
    stack, seen = list(values), set(values)
    while stack:
        maker = graph.producer(stack.pop())
        if maker is None:
            continue
        if maker.index in of:
            yield of[maker.index]
            continue
        stack.extend(value for value in maker.inputs if value not in seen)
        seen.update(maker.inputs)
