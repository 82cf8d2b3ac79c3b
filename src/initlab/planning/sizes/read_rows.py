"""Tables whose rows weights read, and no norm or stream: how far a step moves a row beside how large it was drawn.

Of W e, rows drawn with std a and W of size 1/a, a step of gradient descent moves a row by 1/a of what it moves at
a = 1, where the row itself is a times as large: by 1/a² of itself, and by 1/a under Adam. A row is moved in that share
of the steps whose batch holds it, so that a row of unit size outlasts the training, and what it says is noise. Click
models and grids draw their tables at 1e-4 for that, which gradient descent beside a W of usual size hardly moves. How
small a may be, 1/a has to say, by which the steps grow: a product of k rows makes it 1/aᵏ.

Source: Guo et al., DeepFM, 2017, as DeepCTR draws it, N(0, 1e-8); Müller et al., Instant neural graphics primitives,
2022, section 4, U(±1e-4); of two factors, which is to learn faster: Hayou, Ghosh & Yu, LoRA+, 2024, section 3.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import grew_from, hangs_on
from initlab.planning.signals.data_way import way_of
from initlab.planning.signals.norms import is_norm

ATTENTION = "multi_head_attention_forward"  # queries and keys of one input in one call


def rows_read(
    graph: SignalGraph,
    looked: Mapping[str, Iterable[Operation]],
    bounded: Collection[int],
    applied: Mapping[str, Iterable[Operation]],
) -> dict[str, float]:
    """Tables whose rows weights read, and nothing else but scores -> of how many rows the products are at most.

    Args:
        graph: the recording.
        looked: by table, its look-ups.
        bounded: places of operations whose weights are not made larger, and make up for no small rows.
        applied: by weight, the operations that apply it: one that reads other signals too is not made larger for rows.
    """
    walk = _Rows(graph, bounded)
    for name, uses in looked.items():
        for use in uses:
            if not any(hangs_on(graph, value, "input") for value in use.inputs):
                walk.otherwise.add(name)
            walk.go_on(use, walk.rows, _Grown(1.0, frozenset({name})))
    while walk.places:
        walk.follow(graph.operations[heapq.heappop(walk.places)])
    shared = frozenset[str]().union(*(walk.also_elsewhere(uses) for uses in applied.values()))
    return {name: power for name, power in walk.read.items() if name not in walk.otherwise | shared}


@dataclass(frozen=True)
class _Grown:
    """The power with which a value grows with rows, and of which tables these are."""

    power: float
    names: frozenset[str]

    @classmethod
    def of(cls, parts: Sequence[_Grown], multiplied: bool = False) -> _Grown:
        powers = [part.power for part in parts]
        return cls(sum(powers) if multiplied else max(powers), frozenset[str]().union(*(p.names for p in parts)))


@dataclass
class _Rows:
    """A walk from the look-ups of tables, past all that grows as rows do, in the order of the pass.

    Args:
        graph: the recording.
        bounded: see `rows_read`.
        rows: values that grow with rows.
        mapped: what weights made of such.
        read: by table, the largest power that a weight reads.
        otherwise: tables that anything else reads.
        readers: by place of an operation that applies a weight to such, the tables whose rows it reads.
        places: the operations that are to be looked at.
        met: those that were or are to be.
    """

    graph: SignalGraph
    bounded: Collection[int]
    rows: dict[int, _Grown] = field(default_factory=dict)
    mapped: dict[int, _Grown] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)
    otherwise: set[str] = field(default_factory=set)
    readers: dict[int, frozenset[str]] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    met: set[int] = field(default_factory=set)

    def follow(self, reader: Operation) -> None:
        traits = reader.traits
        own = [self.rows[value] for value in reader.inputs if value in self.rows]
        images = [self.mapped[value] for value in reader.inputs if value in self.mapped]
        if _Grown.of(own + images).names <= self.otherwise:
            return
        whole = reader.kind == ATTENTION
        weighted = traits.combines == "contraction" and not way_of(self.graph).made.isdisjoint(reader.inputs)
        if weighted or whole or traits.recurrent:
            grown = _Grown.of(own + images)
            self.readers[reader.index] = grown.names
            if reader.index not in self.bounded:
                self._note(grown.names, (1 + whole) * grown.power)
            if weighted:
                self.go_on(reader, self.mapped, grown)
        elif own:
            self._from_rows(reader, own, images)
        elif traits.attends or (traits.multiplies and len(images) > 1):
            grown = _Grown.of(images[:2], multiplied=True)
            self._note(grown.names, grown.power)
        elif traits.proportional or traits.gathers or traits.multiplies:
            self.go_on(reader, self.mapped, _Grown.of(images))

    def _from_rows(self, reader: Operation, own: list[_Grown], images: list[_Grown]) -> None:
        traits, grown = reader.traits, _Grown.of(own, multiplied=reader.traits.combines == "product")
        made = way_of(self.graph).made
        others = {value for value in reader.inputs if value not in self.rows and value not in made}
        shaped = is_norm(self.graph, reader) or traits.attends or (traits.curved and not traits.degree)
        if shaped or (grown.power == 1 and traits.combines == "sum" and self._is_stream(grown, others, images)):
            self.otherwise |= grown.names
        elif others or not (traits.combines == "contraction" or (grown.power > 1 and self._sums_features(reader))):
            grown = _Grown(grown.power * (traits.degree or 1.0), grown.names)
            self.go_on(reader, self.rows, grown)
            if grown.power == 1 and set(reader.outputs) & set(self.graph.outputs):
                self.otherwise |= grown.names

    def _sums_features(self, reader: Operation) -> bool:
        """Whether a product is summed over its features: a score of rows, whose size is said where scores are read."""
        before, after = (self.graph.values[value[0]].shape for value in (reader.inputs, reader.outputs))
        return after in (before[:-1], (*before[:-1], 1)) and len(after) > 0

    def _is_stream(self, grown: _Grown, others: set[int], images: list[_Grown]) -> bool:
        """Whether what was made of rows is added to them."""
        if any(grown.names & image.names for image in images):
            return True
        if not (unknown := [value for value in others if value not in self.mapped]):
            return False
        before = {value for value, found in self.rows.items() if found.names & grown.names}
        return any(grew_from(self.graph, value, before) for value in unknown)

    def also_elsewhere(self, uses: Iterable[Operation]) -> frozenset[str]:
        """The tables whose rows one weight reads, where it reads what does not grow with any as well."""
        places = {use.index for use in uses}
        read = places & self.readers.keys()
        return frozenset[str]().union(*(self.readers[place] for place in read)) if read < places else frozenset()

    def _note(self, names: Iterable[str], power: float) -> None:
        self.read |= {name: max(power, self.read.get(name, 0.0)) for name in names}

    def go_on(self, reader: Operation, found: dict[int, _Grown], grown: _Grown) -> None:
        """What an operation makes is such a value; what reads it is to be looked at."""
        for made in reader.outputs:
            found[made] = grown
            for index in {after.index for after in self.graph.consumers(made)} - self.met:
                self.met.add(index)
                heapq.heappush(self.places, index)
