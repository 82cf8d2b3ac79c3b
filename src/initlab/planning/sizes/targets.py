"""How large each weight's output should be: what a calibrating pass aims at, by the structures weights stand in."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from initlab.graph.recording import Share
from initlab.planning.plan import PlanEntry
from initlab.planning.signals.transforms import Back
from initlab.planning.sizes.normed import ROWS, smallest
from initlab.planning.sizes.plain import plain_second, usual_std
from initlab.planning.sizes.scores import Queries

EXCESS = 0.025  # by which share of ln C the first loss may lie above that of a uniform guess
GATE = 0.1  # second moment before a sigmoid that multiplies a signal: the gate is half open everywhere
SCORE = 4e-4  # second moment of what a table adds to attention scores: they begin nearly free of it
READ = 1e-3  # second moment of a table's rows that weights read: rows of 0.03, of products of k rows the k-th root
MOVED = 0.01  # second moment of what moves or scales the data itself, or is added to the identity: a tenth of its size
LEARNED = 1e-3  # second moment of a function that is learned beside a fixed one
QUANTIZED = 0.05  # second moment of what codes stand for, and of the codes
DROWNS = 0.1  # second moment of a stream below which what a norm makes drowns it; else the norm stays the identity
POSITION = 0.25  # second moment of positions and types as a share of the tokens' that they are added to
PLACE = 1.0  # and where no rows of tokens are: patches say little without their place


@dataclass(frozen=True)
class Targets:
    """What a calibrating pass aims at.

    Args:
        heads: weights whose output is the model's, read by nothing else.
        alone: those of them by which alone an output of the model was last made, whatever became of it on the way.
        gates: weights whose output opens a gate through a sigmoid.
        ends: weights that end residual branches.
        scales: scales of norms that end such branches -> the value with which they would be zero.
        branches: of each of these, how many branches are added to its stream and to those that it meets: a weight that
            is used again, and adds to the same stream, ends another.
        tables: embeddings that are read by what the model is given.
        positions: tables and parameters that are added to the tokens.
        asked: those of them whose std was asked for, which are made no larger.
        ties: tables that are also heads.
        sizing_themselves: those of them that read what is as small as their rows are.
        shares: weights that mix what a softmax gives, which stays of its size.
        on_scores: tables, and weights that end functions of places, that are added to attention scores.
        inner: by weight, the constant that its output is multiplied by within the function that reads it; by table,
            the constant that its rows are multiplied by before anything else reads them.
        queries: weights that make queries -> what becomes of them.
        normed: weights and tables whose outputs norms alone read, so that their size sets how fast they learn and
            nothing else.
        read: tables whose rows weights read, and no norm -> of how many rows a product is that they read.
        plain: weights of plain networks, which learn features the faster the smaller they are.
        modest: weights that end branches of such networks, and are no larger than torch's own.
        codes: tables whose rows are compared with a signal, and are as large as it is.
        quantized: weights whose outputs codes stand for, or that make these.
        multiplied: weights whose outputs are multiplied with each other.
        couplings: weights whose outputs move or scale the data itself, or places.
        beside_identity: weights whose outputs an identity is added to -> the side of that matrix.
        learned: coefficients of functions that are learned beside fixed ones.
        transformed: weights between a transform and its inverse -> the inverse, after which their outputs are sized.
        composed: factors by which composed weights are sized -> the other factors.
        feature_rows: weights whose rows numbers are multiplied by -> the second moment of their elements.
        bounded: weights that are not made larger: they read what they made before, or sums over neighbours.
        behind: weights that read what weights made, whose size is planned; data may be as small as it is.
        looping: weights that steps apply, to what came of earlier ones; a layer that is shared is none.
        growth: by weight that a loop applies, how much larger what its uses make is than what the first one does.
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
    on_scores: frozenset[str] = frozenset()
    inner: Mapping[str, float] = field(default_factory=dict)
    branches: Mapping[str, int] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    scales: Mapping[str, float] = field(default_factory=dict)
    queries: Mapping[str, Queries] = field(default_factory=dict)
    normed: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    modest: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    quantized: frozenset[str] = frozenset()
    multiplied: frozenset[str] = frozenset()
    couplings: frozenset[str] = frozenset()
    beside_identity: Mapping[str, int] = field(default_factory=dict)
    read: Mapping[str, float] = field(default_factory=dict)
    learned: frozenset[str] = frozenset()
    transformed: Mapping[str, Back] = field(default_factory=dict)
    composed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    feature_rows: Mapping[str, float] = field(default_factory=dict)
    bounded: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()
    looping: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()
    sizing_themselves: frozenset[str] = frozenset()
    growth: Mapping[str, float] = field(default_factory=dict)
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
        if name in self.on_scores:
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
        if name in self.quantized:
            return QUANTIZED
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
        return name in self.normed or name in self.read or name in self.quantized

    def share(
        self, names: frozenset[str], others: frozenset[str], learned: bool, joined: Collection[str]
    ) -> Share | None:
        """What a summand is brought to, made by some parameters and added to what others made; None of others.

        Ends that are added to one another first, as of routed experts and one that all share, join a stream together.

        Args:
            names: the parameters.
            others: the others.
            learned: whether weights had a part in what it is added to, in whatever way.
            joined: the parameters that have joined a stream before.
        """
        if not names:
            return None
        if names <= self.positions and not (others and others <= self.positions):
            if not learned or self.tables - self.positions - self.on_scores:
                return Share(POSITION, grows=False)
            return Share(PLACE, grows=self.asked.isdisjoint(names))
        if names <= self.ends and not (others and others <= self.ends.difference(joined)):
            return Share(self._part(names), grows=names.isdisjoint(self.shares), made=True)
        if names <= self.scales.keys():
            return Share(self._part(names), grows=False, below=DROWNS)
        return None

    def _part(self, names: frozenset[str]) -> float:
        """One branch's share of its stream."""
        return 1 / max(self.branches[name] for name in names)
