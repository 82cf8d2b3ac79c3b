"""What each weight's output should be like, from what reads it: heads, gates, branch ends, positions, and the rest."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from initlab.graph import Operation, SignalGraph, Use
from initlab.planning.choice import Options
from initlab.planning.plan import PlanEntry
from initlab.planning.signals.answers import answering
from initlab.planning.signals.constants import inner_factor, multiplied_by
from initlab.planning.signals.data_way import way_of
from initlab.planning.signals.neighbours import reads_neighbours
from initlab.planning.signals.readers import adds_to_scores, is_head, opens_gate
from initlab.planning.signals.recurrences import adds_up, makers, reads_itself
from initlab.planning.signals.transforms import Back, transformed
from initlab.planning.sizes.bases import learned_beside
from initlab.planning.sizes.bilinear import multiplied
from initlab.planning.sizes.composed import composed_of
from initlab.planning.sizes.couplings import couplings, moving_places
from initlab.planning.sizes.identities import beside_identity
from initlab.planning.sizes.made import makes_weights
from initlab.planning.sizes.normed import ROWS, normed, smallest
from initlab.planning.sizes.plain import plain, plain_second, usual_std
from initlab.planning.sizes.read_rows import rows_read
from initlab.planning.sizes.scores import Queries, queries_of
from initlab.planning.sizes.token_tables import codebooks, sizing_themselves, tokens_of
from initlab.planning.sizes.votes import voting
from initlab.sampling import canonical_name

EXCESS = 0.025  # by which share of ln C the first loss may lie above that of a uniform guess
GATE = 0.1  # second moment before a sigmoid that multiplies a signal: the gate is half open everywhere
SCORE = 4e-4  # second moment of what a table adds to attention scores: they begin nearly free of it
READ = 1e-3  # second moment of a table's rows that weights read: rows of 0.03, of products of k rows the k-th root
MOVED = 0.01  # second moment of what moves or scales the data itself, or is added to the identity: a tenth of its size
LEARNED = 1e-3  # second moment of a function that is learned beside a fixed one
POSITION = 0.25  # second moment of positions and types as a share of the tokens' that they are added to


@dataclass(frozen=True)
class Targets:
    """What a calibrating pass aims at.

    Args:
        heads: weights whose output is the model's, read by nothing else.
        alone: those of them by which alone an output of the model was last made, whatever became of it on the way.
        gates: weights whose output opens a gate through a sigmoid.
        ends: weights that end residual branches.
        branches: how many branches they end: a weight that is used again, and adds to the same stream, ends another.
        tables: embeddings that are read by what the model is given.
        positions: tables and parameters that are added to the tokens.
        ties: tables that are also heads.
        sizing_themselves: those of them that read what is as small as their rows are.
        shares: weights that mix what a softmax gives, which stays of its size.
        tables_of_scores: tables that are added to attention scores.
        inner: by weight, the constant that its output is multiplied by within the function that reads it; by table,
            the constant that its rows are multiplied by before anything else reads them.
        queries: weights that make queries -> what becomes of them.
        normed: weights and tables whose outputs norms alone read, so that their size sets how fast they learn and
            nothing else.
        read: tables whose rows weights read, and no norm -> of how many rows a product is that they read.
        plain: weights of plain networks, which learn features the faster the smaller they are.
        modest: weights that end branches of such networks, and are no larger than torch's own.
        codes: tables whose rows are compared with a signal, and are as large as it is.
        multiplied: weights whose outputs are multiplied with each other.
        couplings: weights whose outputs move or scale the data itself, or places.
        beside_identity: weights whose outputs an identity is added to -> the side of that matrix.
        learned: coefficients of functions that are learned beside fixed ones.
        transformed: weights between a transform and its inverse -> the inverse, after which their outputs are sized.
        composed: factors by which composed weights are sized -> the other factors.
        feature_rows: weights whose rows numbers are multiplied by -> the second moment of their elements.
        bounded: weights that are not made larger: they read what they made before, or sums over neighbours.
        several: weights that are read more than once: a layer may be asked for its matrix, on the identity.
        excess: see `EXCESS`.
    """

    heads: frozenset[str]
    gates: frozenset[str]
    ends: frozenset[str]
    tables: frozenset[str]
    positions: frozenset[str]
    ties: frozenset[str]
    shares: frozenset[str] = frozenset()
    tables_of_scores: frozenset[str] = frozenset()
    inner: Mapping[str, float] = field(default_factory=dict)
    branches: int = 0
    queries: Mapping[str, Queries] = field(default_factory=dict)
    normed: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    modest: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    multiplied: frozenset[str] = frozenset()
    couplings: frozenset[str] = frozenset()
    beside_identity: Mapping[str, int] = field(default_factory=dict)
    read: Mapping[str, float] = field(default_factory=dict)
    learned: frozenset[str] = frozenset()
    transformed: Mapping[str, Back] = field(default_factory=dict)
    composed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    feature_rows: Mapping[str, float] = field(default_factory=dict)
    bounded: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()
    sizing_themselves: frozenset[str] = frozenset()
    several: frozenset[str] = frozenset()
    excess: float = EXCESS

    def excess_of(self, classes: int) -> float:
        """By what share of ln C the first loss is to lie above a uniform guess's, so that few draws exceed 5%.

        Where inputs are alike the excess of a draw is χ² with C − 1 degrees over C − 1: 1 + 3√(2/(C − 1)) at its most.
        """
        return min(self.excess, 0.05 / (1 + 3 * math.sqrt(2 / max(classes - 1, 1))))

    def of(self, name: str, spread: float = 0.0) -> float | None:
        """The second moment that a weight's output should have; None where nothing says.

        Args:
            name: the weight's.
            spread: the standard deviation of that moment over draws, as a share of it.
        """
        if name in self.tables_of_scores:
            return SCORE
        if name in self.feature_rows:
            return self.feature_rows[name]
        if name in self.beside_identity:
            return MOVED / self.beside_identity[name]
        if name in self.couplings or name in self.learned:
            return LEARNED if name in self.learned else MOVED
        if name in self.tables and name in self.normed:
            return ROWS / self.inner.get(name, 1.0) ** 2
        if name in self.read:
            return float(READ ** (1 / self.read[name])) / self.inner.get(name, 1.0) ** 2
        if name in self.tables and name in self.inner and name not in self.positions | self.ties:
            return 1 / self.inner[name] ** 2
        if name in self.tables or name in self.positions or name in self.shares or name in self.transformed:
            return None
        if name in self.normed:
            return smallest(spread)
        second = GATE if name in self.gates else plain_second(spread) if name in self.plain | self.multiplied else 1.0
        return second / self.inner.get(name, 1.0) ** 2

    def most(self, entry: PlanEntry) -> float:
        """What the std of a weight may be multiplied by where its branch joins a stream."""
        if entry.name not in self.modest or entry.geometry is None or not entry.std:
            return math.inf
        return usual_std(entry.geometry.fan_in) / entry.std

    def besides(self, deep: Collection[str]) -> Targets:
        """Where deep stacks have laws of their own, derived at second moment one: no layer of theirs begins smaller."""
        return replace(self, plain=self.plain - frozenset(deep), modest=self.modest - frozenset(deep))

    def back(self, names: Iterable[str]) -> float:
        """The second moment of what an inverse transform makes by some weights."""
        return plain_second(0.0) if self.plain.issuperset(names) else 1.0

    def sized(self, name: str) -> bool:
        """Whether an output is brought to its target however near it is: laws are derived for second moment one."""
        return name in self.normed or name in self.read

    def share(self, names: frozenset[str], others: frozenset[str]) -> float | None:
        """The second moment of a summand as a share of what it is added to; None where it is no branch."""
        if names and names <= self.positions and not (others and others <= self.positions):
            return POSITION
        if names and names <= self.ends:
            return 1 / max(self.branches, 1)
        return None


def owners(entries: Iterable[PlanEntry]) -> dict[str, str]:
    """Every canonical name, tied ones too -> the name of its entry."""
    return {name: entry.name for entry in entries for name in (entry.name, *entry.tied_to)}


def targets_of(graph: SignalGraph, entries: Mapping[str, PlanEntry], owner: Mapping[str, str]) -> Targets:
    """The targets of a recorded model's weights.

    Args:
        graph: the recording.
        entries: the plan's entries by name.
        owner: every canonical name, tied ones too -> the name of its entry.
    """
    uses: dict[str, list[Use]] = {}
    for name in graph.parameters:
        if canonical_name(name) in owner:
            uses.setdefault(owner[canonical_name(name)], []).extend(graph.uses(name))
    applied, looked = _by_role(uses, "weight"), _by_role(uses, "embedding")
    ended = {owner.get(canonical_name(name), "") for name in graph.residual_ends()}
    heads = frozenset(name for name, found in applied.items() if any(is_head(graph, use) for use in found))
    learned = learned_beside(graph, applied)
    heads = (heads | voting(graph, applied) | answering(graph, applied)) - learned
    tables = frozenset(looked)
    scored = frozenset(name for name, found in looked.items() if adds_to_scores(graph, found[0]))
    added = frozenset(
        name for name, found in uses.items()
        if entries[name].role == "other" and len(entries[name].shape) > 1
        and any(use.operation.kind == "add" for use in found) and entries[name].code != "feature_row"
    )  # fmt: skip
    mixers = {
        name for name, found in uses.items() if any(use.feeds and use.feeds.activation == "softmax" for use in found)
    }
    inner = {name: inner_factor(graph, found[0]) for name, found in applied.items()}
    inner |= {name: multiplied_by(graph, found[0]) for name, found in looked.items()}
    inner |= {name: math.sqrt(fan) for name, found in applied.items() if (fan := makes_weights(graph, found[0]))}
    ends = frozenset(name for name in ended & entries.keys() if _may_end(entries[name])) - heads
    places = ends & moving_places(graph, applied)  # a field of steps, no branch of a stream that it is a share of
    ends -= places
    moving = (couplings(graph, applied) - heads) | places
    if way_of(graph).scaled:  # a flow: x − m(x) moves the data, as exp(s(x)) scales it, and is no branch of many
        ends -= moving
    positions = ((tables - tokens_of(graph, looked, entries)) | added) - scored
    beside = frozenset(use.operation.index for name in positions for use in uses[name])
    sizable = {name: found for name, found in looked.items() if _has_usual_std(entries[name])}
    fed = {name: found for name, found in applied.items() if entries[name].code == "fed"}
    looped = frozenset(
        name for name in applied if reads_itself(graph, (use for use in uses[name] if use.role == "weight"))
    )
    bounded = looped | {name for name, found in applied.items() if reads_neighbours(graph, found[0])}
    compared = codebooks(graph, looked)
    rows = {name: found for name, found in sizable.items() if name not in compared}
    read = rows_read(graph, rows, {use.index for name in bounded for use in applied[name]}, applied)
    free = frozenset(name for name, found in (*applied.items(), *rows.items()) if normed(graph, found, beside))
    unit = {name for name in sizable if name not in read.keys() | free | heads | positions | scored}
    small = plain(graph, fed, {use.index for name in unit for use in looked[name]}, bool(looped))
    gates = frozenset(name for name, found in applied.items() if opens_gate(graph, found[0])) - heads
    beside_one = {name: side for name, side in beside_identity(graph, applied).items() if name not in heads}
    return Targets(
        heads=heads,
        gates=gates,
        ends=ends,
        branches=sum(adds_up(graph, applied.get(name, ())) for name in ends),
        tables=tables,
        positions=positions,
        ties=tables & heads,
        shares=frozenset(mixers) - tables,
        tables_of_scores=scored,
        inner={name: factor for name, factor in inner.items() if factor != 1.0},
        queries=queries_of(graph, owner),
        normed=free - heads - ends - positions - scored,
        plain=small - heads - ends - free - bounded - gates - moving - learned - beside_one.keys(),
        modest=small & ends,
        codes=compared & sizable.keys(),
        multiplied=multiplied(graph, fed) - heads - ends - free - bounded,
        read={name: power for name, power in read.items() if name not in free | heads | positions | scored},
        learned=learned,
        transformed=transformed(graph, applied),
        couplings=moving - ends,
        beside_identity=beside_one,
        composed=composed_of(graph, uses, owner),
        feature_rows={name: (entries[name].std or 0.0) ** 2 for name in applied if entries[name].code == "feature_row"},
        bounded=bounded,
        alone=_alone(graph, applied) & heads,
        sizing_themselves=sizing_themselves(graph, looked, applied),
        several=frozenset(name for name in applied if _read_again(graph, name)),
    )


def _read_again(graph: SignalGraph, name: str) -> bool:
    value = graph.value_of(name)
    return value is not None and len(graph.consumers(value)) > 1


def _alone(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """Weights by which alone an output was last made."""
    of = {use.parameters: name for name, found in applied.items() for use in found}
    made = (makers(graph, value) for value in graph.outputs)
    return frozenset(of[parameters] for every in made if len(every) == 1 for parameters in every if parameters in of)


def _has_usual_std(entry: PlanEntry) -> bool:
    """Whether a table's std is the default, which nobody asked for."""
    return entry.recipe is not None and entry.recipe.arguments.get("std") == Options().embedding_std


def _may_end(entry: PlanEntry) -> bool:
    """Whether a weight may end a branch: in-projections open the one that their attention's out-projection ends."""
    return entry.role == "weight" and (entry.geometry is None or entry.geometry.kind != "attention")


def _by_role(uses: Mapping[str, list[Use]], role: str) -> dict[str, list[Operation]]:
    """The operations that use each parameter in a role, of those that are used in it."""
    found = {name: [use.operation for use in all_uses if use.role == role] for name, all_uses in uses.items()}
    return {name: operations for name, operations in found.items() if operations}
