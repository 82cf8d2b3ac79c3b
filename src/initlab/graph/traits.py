"""What is known of a kind of operation besides its functions: the properties that every walk over a recording asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Keeps = Literal["none", "order", "values", "part", "pieces"]
Combines = Literal["none", "sum", "join", "write", "product", "contraction", "choice"]


@dataclass(frozen=True, kw_only=True)
class Traits:
    """The properties of a kind of operation.

    Args:
        keeps: what its outputs hold of the input's numbers: all of them in their "order" and shape, all "values"
            elsewhere (some of them repeated, or beside zeros), a "part", several "pieces", or "none" as they were.
        pointwise: each number that it makes is a function of the numbers at the same place of what it reads.
        linear: scaling its input scales its output alike.
        combines: how it makes one of several signals: their "sum", a "join" side by side, a "write" of some into places
            of the first, their "product" element by element, a "contraction" (products summed over an axis) or a
            "choice" of one of them at each place.
        accumulates: it adds rows to places that an index tells, as along the edges of a graph.
        attends: it averages its third operand with weights that come from the first two.
        recurrent: what it gives is a state, which it has read again.
        mixes: each number that it makes is of several places, though its shape stays.
        inverse: it brings frequencies back to places.
        norm: it sets the size of its output, whatever came in.
        by_feature: a norm that sets the size of each feature by itself.
        curved: a function of one number that is curved or bounded: its input's size matters.
        periodic: a sine, cosine or sinc: how large its input is sets how often it turns.
        positive: a function that makes a scale of any number.
        gate: a function by whose output a signal is let through.
        opens: a function whose input is biased on purpose, so that a gate begins open or a decay slow.
        logits: what it reads are logits.
        ranks: it orders what it reads by size.
        degree: the power with which its output grows as its input does, where it is no linear function; 0 where none.
        even: what it gives does not hang on its input's sign: a length, a square.
        pools: it makes one number of several places, larger as they are larger; features may stay apart.
        guard: it only changes numbers of unusual size.
        by_value: its arguments decide which function of one number it is.
        start: what a parameter in it is taken to be where its values do not matter: a shift of 0, a scale of 1.
        units: the axis of its weight along which output units lie; None where it has no units.
        features: the axis of its input and output along which features lie, where it is not the last.
        rows: the arguments (position, name) by which rows of a table are read by number.
        places: the arguments (position, name) that say at which places of a signal it reads.
        random: it draws random numbers.
        drops: it sets a random part of its input to zero in training.
        regroups: its output holds the same elements in the same order under other axes, or with the last two swapped.
        skipped: when it is run again, its input is its output, as casts are.
        reads_only: it only tells of a tensor, and is not recorded.
        shape_only: it reads the shape of what it is given and nothing else, so that it makes a constant.
        shaped_like: the argument (position, name) of which it reads the shape or type alone, where there is one.
    """

    keeps: Keeps = "none"
    pointwise: bool = False
    linear: bool = False
    combines: Combines = "none"
    accumulates: bool = False
    attends: bool = False
    recurrent: bool = False
    mixes: bool = False
    inverse: bool = False
    norm: bool = False
    by_feature: bool = False
    curved: bool = False
    periodic: bool = False
    positive: bool = False
    gate: bool = False
    opens: bool = False
    logits: bool = False
    ranks: bool = False
    degree: float = 0.0
    even: bool = False
    pools: bool = False
    guard: bool = False
    by_value: bool = False
    start: float = 1.0
    units: int | None = None
    features: int = -1
    rows: tuple[tuple[int, str], ...] = ()
    places: tuple[tuple[int, str], ...] = ()
    random: bool = False
    drops: bool = False
    regroups: bool = False
    skipped: bool = False
    reads_only: bool = False
    shape_only: bool = False
    shaped_like: tuple[int, str] | None = None

    @property
    def random_like(self) -> bool:
        """Whether it draws numbers in the shape of what it is given, which it does not read."""
        return self.random and self.shaped_like is not None

    @property
    def rearranges(self) -> bool:
        """Whether all numbers are there still, at most in another order."""
        return self.keeps in ("order", "values")

    @property
    def passes(self) -> bool:
        """Whether its output is what its input is, or a part of it."""
        return self.keeps in ("order", "values", "part") or self.guard

    @property
    def proportional(self) -> bool:
        """Whether its output grows as its input does."""
        return self.keeps != "none" or self.linear or self.guard or self.pools

    @property
    def gathers(self) -> bool:
        """Whether its output grows as its signals do, where all of them do."""
        return self.combines in ("sum", "join", "write")

    @property
    def multiplies(self) -> bool:
        """Whether its output grows as one of its signals does, the others as they are."""
        return self.combines in ("product", "contraction", "choice")

    def carries(self, signals: Sequence[frozenset[str]]) -> frozenset[str]:
        """The weights that its output is in proportion to.

        Args:
            signals: for each signal that it reads, the weights that this is in proportion to.
        """
        none = frozenset[str]()
        if self.gathers:
            return none.union(*signals) if all(signals) else none
        if self.multiplies:
            found = [names for names in signals if names]
            return found[0] if len(found) == 1 else none
        if self.attends:
            return signals[2] if len(signals) > 2 else none
        grows = self.proportional or (self.degree == 1 and len(signals) == 1)
        return signals[0] if grows and signals else none


UNKNOWN = Traits()
