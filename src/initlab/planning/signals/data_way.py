"""The way of the data through a model: what the inputs make element by element, without a weight that mixes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import from_inputs
from initlab.graph.once import once


@dataclass
class Way:
    """The way of the data through a model.

    Args:
        live: values that hang on the inputs.
        made: values that are made of parameters alone.
        data: values that the inputs make element by element, and what moves or scales them.
        last: values of which the output is made without another weight.
        moved: whether anything but the inputs joins the data.
        scaled: whether the data is multiplied by scales that were made from it, as in a flow.
    """

    live: frozenset[int]
    made: set[int] = field(default_factory=set)
    data: set[int] = field(default_factory=set)
    last: set[int] = field(default_factory=set)
    moved: bool = False
    scaled: bool = False


@once
def way_of(graph: SignalGraph) -> Way:
    """The way of the data through a recorded model."""
    way, scales = Way(from_inputs(graph)), set[int]()
    for value in graph.values.values():
        if value.source == "parameter":
            way.made.add(value.index)
        if value.source == "input" and value.dtype.is_floating_point:
            way.data.add(value.index)
    for operation in graph.operations:
        if way.live.isdisjoint(operation.inputs) and not way.made.isdisjoint(operation.inputs):
            way.made.update(operation.outputs)
        if not scales.isdisjoint(operation.inputs) or operation.traits.positive:
            scales.update(operation.outputs)
        if not way.data.isdisjoint(operation.inputs) and _goes_on(graph, operation, way, scales):
            way.data.update(operation.outputs)
    way.last.update(graph.outputs)
    for operation in reversed(graph.operations):
        if not way.last.isdisjoint(operation.outputs) and not applies(operation, way):
            way.last.update(operation.inputs)
    return way


def _goes_on(graph: SignalGraph, operation: Operation, way: Way, scales: set[int]) -> bool:
    """Whether what an operation makes of the data is still the data, element by element."""
    traits, signals = operation.traits, signals_of(graph, operation, way)
    others = [value for value in signals if value not in way.data]
    if applies(operation, way) or traits.drops or not others:
        return not (applies(operation, way) or traits.drops)
    scaled = traits.combines == "product" and all(value in scales for value in others)
    if traits.combines == "sum" or scaled:
        way.moved, way.scaled = True, way.scaled or scaled
        return True
    return traits.combines == "choice"


def signals_of(graph: SignalGraph, operation: Operation, way: Way) -> list[int]:
    """The signals that an operation reads: real or complex numbers that hang on the inputs."""
    found = (graph.values[value] for value in dict.fromkeys(operation.inputs) if value in way.live)
    return [value.index for value in found if value.is_real]


def applies(operation: Operation, way: Way) -> bool:
    """Whether an operation applies a weight to a signal, or sets a size anew."""
    traits = operation.traits
    weighted = traits.combines == "contraction" and not way.made.isdisjoint(operation.inputs)
    return weighted or traits.norm or traits.attends or traits.recurrent
