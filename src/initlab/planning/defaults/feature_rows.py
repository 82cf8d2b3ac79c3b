"""Numbers that rows of their own embed, x·w + b: every feature of the data has a row and a shift.

Of x·w alone a norm keeps ±w, the number's sign, and loses its size; with a shift as large as the row the direction
turns with the number. Rows that norms alone read are as small as a table's, which learn the faster.

Source: Gorishniy, Rubachev, Khrulkov & Babenko, Revisiting deep learning models for tabular data, 2021, section 3.3:
T = b + x·W, a row of both for each feature, drawn by one law.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import passed
from initlab.graph.once import once
from initlab.planning.choice import Choice
from initlab.planning.parameters.scene import Subject
from initlab.planning.reason import Reason
from initlab.planning.signals.data_way import way_of
from initlab.planning.signals.ways import read_alone, read_by, rearranges
from initlab.planning.sizes.normed import ROWS, normed
from initlab.sampling import canonical_name
from initlab.schemes import get_scheme

SECOND = 0.25  # second moment of rows and shifts, where anything but norms reads them


@dataclass(frozen=True)
class FeatureRows:
    """The parameters that embed numbers, by canonical name -> the second moment that their elements are to have.

    Args:
        rows: what the numbers are multiplied by.
        shifts: what is added to that, each of the shape of its rows.
    """

    rows: dict[str, float] = field(default_factory=dict)
    shifts: dict[str, float] = field(default_factory=dict)


def of_features(subject: Subject) -> Choice | None:
    """What a row that numbers are multiplied by gets, and a shift beside it; None for every other."""
    graph = subject.scene.graph
    if graph is None:
        return None
    found = feature_rows(graph)
    seconds = {**found.shifts, **found.rows}
    name = next((name for name in (subject.name, *subject.slot.ties) if name in seconds), None)
    if name is None:
        return None
    what = "a row that numbers are multiplied by" if name in found.rows else "a shift beside rows of numbers"
    std = math.sqrt(seconds[name])
    return Choice(get_scheme("normal", std=std), Reason("feature_row", f"{what}: normal, std {std:.4g}"))


@once
def feature_rows(graph: SignalGraph) -> FeatureRows:
    """The rows and shifts of a recording; rows without shifts are none, nor is what sines or exponentials read."""
    found = FeatureRows()
    for operation in graph.operations:
        for row, number in _factors(graph, operation):
            if number in way_of(graph).data and _is_outer(graph, operation, row, number):
                shifts = list(_shifts(graph, operation, _root(graph, row)))
                sums = [_rectified(graph, addition) for _, addition in shifts]
                second = ROWS if normed(graph, sums, frozenset()) else SECOND
                found.rows.update({_name(graph, row): second} if shifts else {})
                found.shifts.update((name, second) for name, _ in shifts)
    return found


def _factors(graph: SignalGraph, operation: Operation) -> Iterator[tuple[int, int]]:
    """(a parameter, the signal that is multiplied by it) of a product of such two."""
    if operation.traits.combines not in ("product", "contraction") or len(operation.inputs) != 2:
        return
    for row, number in (operation.inputs, operation.inputs[::-1]):
        if graph.values[_root(graph, row)].source == "parameter":
            yield row, number


def _root(graph: SignalGraph, value: int) -> int:
    """What a value was before it was rearranged; itself where a part of that is left."""
    root = passed(graph, value, parts=True)[-1]
    kept = math.prod(graph.values[root].shape) == math.prod(graph.values[value].shape)
    return root if kept else value


def _name(graph: SignalGraph, value: int) -> str:
    return canonical_name(graph.values[_root(graph, value)].name)


def _is_outer(graph: SignalGraph, operation: Operation, row: int, number: int) -> bool:
    """Whether every number becomes several, each its product with one element of a row, and nothing is summed."""
    made, own, given = (graph.values[value].shape for value in (operation.outputs[0], row, number))
    if operation.kind == "einsum":
        equation = operation.args[0]
        if not isinstance(equation, str) or "." in equation:
            return False
        left, _, kept = equation.replace(" ", "").partition("->")
        terms = dict(zip(operation.inputs, left.split(","), strict=True))
        return set(left) - {","} == set(kept) and not set(terms[row]) <= set(terms[number])
    if operation.traits.combines != "product":
        return False
    wide = [size for size in own if size > 1]
    grown = [at for at in range(-len(own), 0) if own[at] > 1 and (len(given) < -at or given[at] == 1)]
    return bool(wide and grown) and own[-1] == made[-1]


def _shifts(graph: SignalGraph, product: Operation, rows: int) -> Iterator[tuple[str, Operation]]:
    """(a parameter of the rows' shape, the sum that adds it to a product), where no sine or exponential reads that."""
    for reader in read_by(graph, product, rearranges):
        if not rearranges(reader) and reader.traits.combines == "sum" and not _reads_waves(graph, reader):
            added = [graph.values[root] for value in reader.inputs if (root := _root(graph, value)) != rows]
            alike = [v for v in added if v.source == "parameter" and v.shape == graph.values[rows].shape]
            yield from ((canonical_name(value.name), reader) for value in alike)


def _rectified(graph: SignalGraph, addition: Operation) -> Operation:
    """The last of the functions f(c·x) = c·f(x), as ReLU is, that alone read a sum; the sum itself where none does."""
    last = addition
    for _, reader in read_alone(graph, addition.outputs[0]):
        if not (reader.traits.degree == 1 or reader.traits.guard or reader.traits.rearranges):
            break
        last = reader
    return last


def _reads_waves(graph: SignalGraph, addition: Operation) -> bool:
    def goes_on(reader: Operation) -> bool:
        return rearranges(reader) or (reader.traits.combines == "product" and len(graph.signals(reader)) == 1)

    return any(reader.traits.periodic or reader.traits.positive for reader in read_by(graph, addition, goes_on))
