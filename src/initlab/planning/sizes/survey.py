"""Which structures the weights and tables of a recorded model stand in, and the targets that follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from initlab.graph import Operation, SignalGraph, Use
from initlab.graph.ancestry import from_weights, is_behind, marks
from initlab.planning.choice import Options
from initlab.planning.plan import PlanEntry
from initlab.planning.signals.answers import answering
from initlab.planning.signals.constants import inner_factor, multiplied_by
from initlab.planning.signals.data_way import way_of
from initlab.planning.signals.neighbours import reads_neighbours
from initlab.planning.signals.readers import adds_to_scores, is_head, opens_gate, shifts_scores_by_place
from initlab.planning.signals.recurrences import adds_up, makers, reads_itself
from initlab.planning.signals.transforms import transformed
from initlab.planning.sizes.bases import learned_beside
from initlab.planning.sizes.bilinear import multiplied
from initlab.planning.sizes.composed import composed_of
from initlab.planning.sizes.couplings import couplings, moving_places
from initlab.planning.sizes.ending_norms import ending_scales
from initlab.planning.sizes.identities import beside_identity
from initlab.planning.sizes.made import makes_weights
from initlab.planning.sizes.normed import normed
from initlab.planning.sizes.plain import plain
from initlab.planning.sizes.quantized import quantized
from initlab.planning.sizes.read_rows import rows_read
from initlab.planning.sizes.scores import queries_of
from initlab.planning.sizes.streams import meeting
from initlab.planning.sizes.targets import Targets
from initlab.planning.sizes.token_tables import codebooks, holds_places, sizing_themselves, tokens_of
from initlab.planning.sizes.votes import voting
from initlab.sampling import canonical_name

Names = frozenset[str]
Uses = dict[str, list[Operation]]  # by name, the operations that use a parameter in one role


def targets_of(graph: SignalGraph, entries: Mapping[str, PlanEntry], owner: Mapping[str, str]) -> Targets:
    """The targets of a recorded model's weights.

    Args:
        graph: the recording.
        entries: the plan's entries by name.
        owner: every canonical name, tied ones too -> the name of its entry.
    """
    found = _Survey(graph, entries, owner)
    sized = found.heads | found.ends | found.free | found.bounded  # said elsewhere, whatever the network
    return Targets(
        heads=found.heads,
        gates=found.gates,
        ends=found.ends,
        scales=found.scales,
        branches=found.branches,
        tables=found.tables,
        positions=found.positions,
        asked=found.asked,
        ties=found.tables & found.heads,
        shares=found.mixers - found.tables,
        on_scores=found.scored,
        inner=found.inner,
        queries=queries_of(graph, owner),
        normed=found.free - found.placed - found.ends,
        plain=found.small - sized - found.gates - found.moving - found.learned - found.beside_identity.keys(),
        modest=found.small & found.ends,
        codes=found.compared & found.sizable.keys(),
        quantized=quantized(graph, found.applied) - sized - found.gates,
        multiplied=multiplied(graph, found.fed) - sized,
        read={name: power for name, power in found.read.items() if name not in found.free | found.placed},
        learned=found.learned,
        transformed=transformed(graph, found.applied),
        couplings=found.moving - found.ends,
        beside_identity=found.beside_identity,
        composed=composed_of(graph, found.uses, owner),
        feature_rows=found.feature_rows,
        bounded=found.bounded,
        behind=found.behind,
        looping=found.looping,
        alone=found.alone,
        sizing_themselves=sizing_themselves(graph, found.looked, found.applied),
        several=found.several,
    )


@dataclass
class _Survey:
    """A recorded model's weights and tables; each property names those that stand in one structure.

    Args:
        graph, entries, owner: see `targets_of`.
    """

    graph: SignalGraph
    entries: Mapping[str, PlanEntry]
    owner: Mapping[str, str]

    @cached_property
    def uses(self) -> dict[str, list[Use]]:
        found: dict[str, list[Use]] = {}
        for name in self.graph.parameters:
            if canonical_name(name) in self.owner:
                found.setdefault(self.owner[canonical_name(name)], []).extend(self.graph.uses(name))
        return found

    @cached_property
    def applied(self) -> Uses:
        return _by_role(self.uses, "weight")

    @cached_property
    def looked(self) -> Uses:
        """The tables; one of zeros, as of biases by number, adds nothing to what it is added to."""
        return {n: found for n, found in _by_role(self.uses, "embedding").items() if self.entries[n].std != 0}

    def _first(self, uses: Uses, question: Callable[[SignalGraph, Operation], object]) -> Names:
        """Those of which the first use in a role is as asked."""
        return frozenset(name for name, found in uses.items() if question(self.graph, found[0]))

    @cached_property
    def heads(self) -> Names:
        read_out = (n for n, found in self.applied.items() if any(is_head(self.graph, use) for use in found))
        return (
            frozenset(read_out) | voting(self.graph, self.applied) | answering(self.graph, self.applied)
        ) - self.learned

    @cached_property
    def alone(self) -> Names:
        """The heads by which alone an output was last made."""
        of = {use.parameters: name for name, found in self.applied.items() for use in found}
        made = (makers(self.graph, value) for value in self.graph.outputs)
        last = {of.get(parameters, "") for every in made if len(every) == 1 for parameters in every}
        return self.heads & last

    @cached_property
    def gates(self) -> Names:
        return self._first(self.applied, opens_gate) - self.heads

    @cached_property
    def mixers(self) -> Names:
        """What reads the shares that a softmax gives."""
        return frozenset(
            name for name, found in self.uses.items() if any(u.feeds and u.feeds.activation == "softmax" for u in found)
        )

    @cached_property
    def inner(self) -> dict[str, float]:
        inner = {name: inner_factor(self.graph, found[0]) for name, found in self.applied.items()}
        inner |= {name: multiplied_by(self.graph, found[0]) for name, found in self.looked.items()}
        fans = {name: makes_weights(self.graph, found[0]) for name, found in self.applied.items()}
        inner |= {name: math.sqrt(fan) for name, fan in fans.items() if fan}
        return {name: factor for name, factor in inner.items() if factor != 1.0}

    @cached_property
    def several(self) -> Names:
        values = {name: self.graph.value_of(name) for name in self.applied}
        return frozenset(n for n, value in values.items() if value is not None and len(self.graph.consumers(value)) > 1)

    @cached_property
    def beside_identity(self) -> dict[str, int]:
        found = beside_identity(self.graph, self.applied)
        return {name: side for name, side in found.items() if name not in self.heads}

    @cached_property
    def learned(self) -> Names:
        return learned_beside(self.graph, self.applied)

    @cached_property
    def _last(self) -> Names:
        """The weights that come last in what is added to a signal: to a stream, to places, or to the data."""
        ended = {self.owner.get(canonical_name(name), "") for name in self.graph.residual_ends()}
        return frozenset(name for name in ended & self.entries.keys() if _may_end(self.entries[name])) - self.heads

    @cached_property
    def _places(self) -> Names:
        """Those of a field of steps, which is no branch of a stream that it is a share of."""
        return self._last & moving_places(self.graph, self.applied)

    @cached_property
    def moving(self) -> Names:
        return (couplings(self.graph, self.applied) - self.heads) | self._places

    @cached_property
    def ends(self) -> Names:
        """Of branches; in a flow x − m(x) moves the data, as exp(s(x)) scales it, and is no branch of many."""
        return self._last - (self.moving if way_of(self.graph).scaled else self._places)

    @cached_property
    def scales(self) -> dict[str, float]:
        """Of norms that end branches."""
        return ending_scales(self.graph, self.entries, self.owner)

    @cached_property
    def branches(self) -> dict[str, int]:
        """Of each of those, how many branches its stream has, with the streams that it meets."""
        uses = {**self.applied, **_by_role(self.uses, "norm_weight")}
        ends = {name: uses.get(name, []) for name in self.ends | self.scales.keys()}
        added = {name: adds_up(self.graph, found) for name, found in ends.items()}
        return {name: sum(added[one] for one in group) for group in meeting(self.graph, ends) for name in group}

    @cached_property
    def tables(self) -> Names:
        return frozenset(self.looked)

    @cached_property
    def scored(self) -> Names:
        """The tables, and the weights that end functions of places, that are added to scores."""
        return self._first(self.looked, adds_to_scores) | self._first(self.applied, shifts_scores_by_place)

    @cached_property
    def positions(self) -> Names:
        added = frozenset(name for name, found in self.uses.items() if _is_added(self.entries[name], found))
        tables = {name: found for name, found in self.uses.items() if self.entries[name].role == "embedding"}
        sliced = frozenset(name for name, found in tables.items() if holds_places(self.graph, found))
        return ((self.tables - tokens_of(self.graph, self.looked, self.entries)) | added | sliced) - self.scored

    @cached_property
    def asked(self) -> Names:
        """The positions whose std is none of the defaults."""
        usual = Options()
        return frozenset(
            name
            for name in self.positions
            if _std_given(entry := self.entries[name])
            != (usual.embedding_std if entry.role == "embedding" else usual.position_std)
        )

    @cached_property
    def placed(self) -> Names:
        """What gets its size as a head, beside tokens or among scores."""
        return self.heads | self.positions | self.scored

    @cached_property
    def compared(self) -> Names:
        return codebooks(self.graph, self.looked)

    @cached_property
    def sizable(self) -> Uses:
        return {name: found for name, found in self.looked.items() if _has_usual_std(self.entries[name])}

    @cached_property
    def _rows(self) -> Uses:
        return {name: found for name, found in self.sizable.items() if name not in self.compared}

    @cached_property
    def read(self) -> dict[str, float]:
        """The tables whose rows weights read -> of how many rows the products are."""
        bounded = {use.index for name in self.bounded for use in self.applied[name]}
        return rows_read(self.graph, self._rows, bounded, self.applied)

    @cached_property
    def feature_rows(self) -> dict[str, float]:
        rows = {name: self.entries[name] for name in self.applied if self.entries[name].code == "feature_row"}
        return {name: (entry.std or 0.0) ** 2 for name, entry in rows.items()}

    @cached_property
    def looped(self) -> Names:
        weights = {name: (use for use in self.uses[name] if use.role == "weight") for name in self.applied}
        return frozenset(name for name, found in weights.items() if reads_itself(self.graph, found))

    @cached_property
    def bounded(self) -> Names:
        return self.looped | self._first(self.applied, reads_neighbours)

    @cached_property
    def looping(self) -> Names:
        """The weights that steps apply: to what came of the first use of one that reads itself."""
        first = marks(self.graph, (value for name in self.looped for value in self.applied[name][0].outputs))
        return frozenset(name for name, found in self.applied.items() if is_behind(self.graph, found[-1], first))

    @cached_property
    def behind(self) -> Names:
        made = from_weights(self.graph)
        return self._first(self.applied, lambda graph, use: not made.isdisjoint(graph.signals(use)))

    @cached_property
    def free(self) -> Names:
        """The weights and tables that norms alone read."""
        beside = frozenset(use.operation.index for name in self.positions for use in self.uses[name])
        given = (*self.applied.items(), *self._rows.items())
        asked = ((name, found) for name, found in given if not _is_in_projection(self.entries[name]))
        return frozenset(name for name, found in asked if normed(self.graph, found, beside))

    @cached_property
    def fed(self) -> Uses:
        """The weights whose law follows from what feeds them."""
        return {name: found for name, found in self.applied.items() if self.entries[name].code == "fed"}

    @cached_property
    def small(self) -> Names:
        """The weights of a network without norms; rows of unit size are as good as data to it."""
        unit = self.sizable.keys() - self.read.keys() - self.free - self.placed
        rows = {use.index for name in unit for use in self.looked[name]}
        return plain(self.graph, self.fed, rows, bool(self.looped))


def _is_added(entry: PlanEntry, uses: list[Use]) -> bool:
    """Whether a parameter of several axes that no layer explains is added to a signal, as positions are."""
    unexplained = entry.role == "other" and len(entry.shape) > 1 and entry.code != "feature_row"
    return unexplained and any(use.operation.kind == "add" for use in uses)


def _has_usual_std(entry: PlanEntry) -> bool:
    """Whether a table's std is the default, which nobody asked for."""
    return _std_given(entry) == Options().embedding_std


def _std_given(entry: PlanEntry) -> float | None:
    return None if entry.recipe is None else entry.recipe.arguments.get("std")


def _may_end(entry: PlanEntry) -> bool:
    return entry.role == "weight" and not _is_in_projection(entry)


def _is_in_projection(entry: PlanEntry) -> bool:
    """Whether a weight makes what attention in one call reads: what comes out is made by the out-projection."""
    return entry.geometry is not None and entry.geometry.kind == "attention"


def _by_role(uses: Mapping[str, list[Use]], role: str) -> dict[str, list[Operation]]:
    """The operations that use each parameter in a role, of those that are used in it."""
    found = {name: [use.operation for use in all_uses if use.role == role] for name, all_uses in uses.items()}
    return {name: operations for name, operations in found.items() if operations}
