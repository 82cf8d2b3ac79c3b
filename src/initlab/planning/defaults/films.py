"""Feature-wise linear modulation, γ(c)·h + β(c): the scale begins at one and the shift at zero, whatever c is.

Drawn at unit size γ is no scale: it turns the signs of half of all units, and differs from sample to sample.

Source: Perez et al., FiLM: visual reasoning with a general conditioning layer, 2018, section 4 (γ = 1 + Δγ).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from initlab.graph import Operation, SignalGraph, Use
from initlab.graph.once import once
from initlab.graph.rows import units_at
from initlab.planning.choice import Choice
from initlab.planning.defaults.of_units import OfUnits, Units
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.reason import Reason
from initlab.planning.signals.ways import readings
from initlab.schemes import get_scheme


@dataclass(frozen=True)
class _Made:
    """What a layer makes of a condition, where it only scales and shifts other signals.

    Args:
        bias: the layer's bias.
        weights: its weights.
        given: the inputs of the model that the condition is made of.
        scales: by product, the units that multiply there.
        shifts: the sums where the others are added.
    """

    bias: str
    weights: frozenset[str]
    given: frozenset[int]
    scales: dict[int, Units]
    shifts: frozenset[int]


def of_films(subject: Subject) -> Choice | None:
    """Zero for a weight that makes such scales and shifts, one for what scales of its bias; None for all else."""
    units = _films(subject.scene).get(subject.name)
    if units is None:
        return None
    if not units:
        words = "makes the scale or the shift of a signal from a condition: zero (FiLM, Perez et al., 2018)"
        return Choice(get_scheme("zeros"), Reason("film", words))
    axis = max(range(len(subject.shape)), key=subject.shape.__getitem__)
    scheme = get_scheme("constant", value=1.0)
    if len(units) < subject.shape[axis]:
        scheme = replace(scheme, rule=OfUnits(axis, units, "value"))
    words = "bias of what scales a signal by a condition: one, and zero of what shifts it (FiLM, Perez et al., 2018)"
    return Choice(scheme, Reason("film", words))


@once
def _films(scene: Scene) -> dict[str, Units]:
    """Parameter -> the units of it that are to be one."""
    graph = scene.graph
    if graph is None:
        return {}
    all_made = list(_conditions(graph, scene))
    meant = {index: made for made in all_made for index in made.shifts}
    found, summed = dict[str, Units](), set[int]()
    for made in all_made:
        sums = [_sum_after(graph, index) for index in made.scales]
        own = [index for index in sums if index in meant and meant[index].given == made.given]
        if sums and len(own) == len(sums):
            found |= {made.bias: Units().union(*made.scales.values()), **dict.fromkeys(made.weights, Units())}
            summed.update(own)
    for made in all_made:
        if not made.scales and made.shifts and made.shifts <= summed:
            found |= dict.fromkeys(made.weights, Units())
    return found


def _conditions(graph: SignalGraph, scene: Scene) -> Iterator[_Made]:
    weights: dict[int, set[str]] = {}
    for subject in scene.subjects():
        if subject.role == "weight" and len(subject.all_uses) == 1 and subject.uses[0].exact:
            weights.setdefault(subject.uses[0].operation.index, set()).add(subject.name)
    for subject in scene.subjects():
        line = subject.geometry is not None and sum(size > 1 for size in subject.shape) == 1
        if subject.role == "bias" and line and len(subject.all_uses) == 1:
            use = subject.uses[0]
            made = _made(graph, subject, use) if use.operation.index in weights else None
            if made is not None:
                yield replace(made, weights=frozenset(weights[use.operation.index]))


def _made(graph: SignalGraph, subject: Subject, use: Use) -> _Made | None:
    inputs, products, shifts = _inputs(graph), dict[int, int](), set[int]()
    given = inputs.get(use.operation.outputs[0], frozenset())
    for value, reader in readings(graph, use.operation.outputs, _moves):
        others = [item for item in reader.inputs if item != value]
        if len(others) == 1 and reader.kind == "add":
            shifts.add(reader.index)
        elif len(others) == 1 and reader.kind == "mul" and not inputs.get(others[0], given) <= given:
            products[reader.index] = value
        elif not _moves(value, reader):
            return None
    scales = _units(graph, subject, use, products) if products else {}
    return None if scales is None else _Made(subject.name, frozenset(), given, scales, frozenset(shifts))


def _units(graph: SignalGraph, subject: Subject, use: Use, products: Mapping[int, int]) -> dict[int, Units] | None:
    """By product, the units of a bias that stand in the value which it reads; None where they cannot be followed."""
    assert subject.geometry is not None
    line = replace(subject.geometry, shape=(max(subject.shape),), out_axis=0)
    known = units_at(graph, use.operation.outputs[0], line)
    if not all(value in known for value in products.values()) or any(map(graph.leaves, known)):
        return None
    return {index: Units(torch.unique(known[value]).tolist()) for index, value in products.items()}


@once
def _inputs(graph: SignalGraph) -> dict[int, frozenset[int]]:
    """The inputs of the model that each value is made of, where there are any."""
    found = {index: frozenset({index}) for index, value in graph.values.items() if value.source == "input"}
    for operation in graph.operations:
        if behind := frozenset().union(*(found.get(item, frozenset()) for item in operation.inputs)):
            found.update(dict.fromkeys(operation.outputs, behind))
    return found


def _moves(_: int, reader: Operation) -> bool:
    return reader.traits.rearranges or reader.traits.keeps in ("part", "pieces")


def _sum_after(graph: SignalGraph, index: int) -> int | None:
    """The sum that alone reads what an operation makes."""
    ways = readings(graph, graph.operations[index].outputs, _moves)
    ends = [reader for value, reader in ways if not _moves(value, reader)]
    return ends[0].index if len(ends) == 1 and ends[0].kind == "add" else None
