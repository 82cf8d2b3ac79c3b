"""Weights whose outputs are multiplied with each other, with no function between: B x ⊙ C x, as of gated convolutions.

A product of k such outputs grows as the k-th power of their size, and so do the steps of each of their weights: at unit
size a large rate that other layers bear throws them out. They begin as plain networks' weights do, as torch draws them.
Behind a squashing function, as of SwiGLU, one factor is held, and unit size trains no worse.

Source: Poli et al., Hyena hierarchy, 2023, section 3 (products of projections and long convolutions); Shazeer, GLU
variants improve transformer, 2020, equation 6, its bilinear variant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from initlab.graph import Operation, SignalGraph
from initlab.graph.operations.fourier import FORWARD, INVERSE
from initlab.planning.signals.data_way import applies, way_of
from initlab.planning.signals.ways import readings


def multiplied(graph: SignalGraph, applied: Mapping[str, Iterable[Operation]]) -> frozenset[str]:
    """The weights, of those applied, that products alone read, whose other factors weights made without a function."""
    return frozenset(name for name, uses in applied.items() if all(_is_factor(graph, use) for use in uses))


def _is_factor(graph: SignalGraph, use: Operation) -> bool:
    met = False
    for value, reader in readings(graph, use.outputs, lambda value, reader: _goes_on(graph, value, reader)):
        if _goes_on(graph, value, reader):
            continue
        others = set(graph.signals(reader)) - {value}
        if reader.traits.combines != "product" or not others or not all(_is_linear(graph, v) for v in others):
            return False
        met = True
    return met


def _goes_on(graph: SignalGraph, value: int, reader: Operation) -> bool:
    """Whether a reader rearranges or cuts what it reads, or adds a bias."""
    traits = reader.traits
    biased = traits.combines == "sum" and bool(reader.parameters) and list(graph.signals(reader)) == [value]
    return traits.passes or traits.keeps == "pieces" or biased


def _is_linear(graph: SignalGraph, value: int) -> bool:
    """Whether weights made all of a value in sums and products, without a function or a norm after them."""
    way, stack, seen, made = way_of(graph), [value], {value}, False
    while stack:
        item = stack.pop()
        operation = graph.producer(item)
        if operation is None:
            if graph.values[item].source == "input":
                return False
            continue
        if item not in way.live:
            continue
        if applies(operation, way) and not (operation.traits.norm or operation.traits.attends):
            made = True
            continue
        if not _is_map(operation):
            return False
        stack.extend(v for v in operation.inputs if v not in seen)
        seen.update(operation.inputs)
    return made


def _is_map(operation: Operation) -> bool:
    """Whether what an operation makes is in proportion to each signal that it reads: no function, norm or table."""
    traits = operation.traits
    if traits.norm or traits.guard:
        return False
    joined = traits.combines in ("sum", "product", "contraction", "join")
    return joined or traits.keeps != "none" or traits.linear or traits.pools or operation.kind in (*FORWARD, *INVERSE)
