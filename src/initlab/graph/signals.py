"""A signal: what is known of one value at the start of training, when every weight gives a unit second moment."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from initlab.records import Changeable

LONGEST = 128  # operations of a region beyond which it is not run again


class Layout(NamedTuple):
    """One step in how numbers were rearranged: two values with the same steps from one root are aligned.

    Args:
        kind: the operation.
        arguments: its arguments, spelled out.
        place: which of its outputs.
        part: whether it took a part.
    """

    kind: str
    arguments: str
    place: int
    part: bool = False


@dataclass(frozen=True)
class Signal(Changeable):
    """What one value is.

    Args:
        second: second moment of its elements, or None when not known.
        mean: their mean.
        source: what made it ("data", "weight", "norm", "activation", "sum", …), as `Feed.source`.
        label: its short name for people ("relu", "layer_norm"), None for the model's own input.
        where: path of the module that made it.
        root: the value that it is an elementwise function of (itself when it is none).
        ops: the elementwise operations from the root to it, by index.
        head: the value in which that function was last computed: views of it are the same numbers.
        layout: the views taken since the root, so that x·σ(x) is told from x[0]·σ(x[1]).
        region: the value from which it can be computed again, by elementwise and other operations without weights.
        trail: those operations.
        note: what was assumed, or why the second moment is not known.
        affine: for a norm's output, which of its "weight" and "bias" have been applied.
        whole: the signal before dropout, where it was dropped since; it says which function the signal is.
        masked: what dropout multiplied its second moment by since.
        alike: the correlation of two of its positions (pixels, tokens) in one feature, beyond their common mean.
        fixed: what positions of different samples have of that: a bias, or what weights make of a mean.
    """

    second: float | None
    mean: float | None
    source: str
    label: str | None
    where: str
    root: int
    ops: tuple[int, ...] = ()
    head: int = -1
    layout: tuple[Layout, ...] = ()
    region: int = -1
    trail: frozenset[int] = frozenset()
    note: str = ""
    affine: frozenset[str] = frozenset()
    alike: float = 0.0
    fixed: float = 0.0
    whole: Signal | None = None
    masked: float = 1.0

    @property
    def center(self) -> float:
        return self.mean or 0.0

    @property
    def common(self) -> float:
        """The share of its second moment that two positions have in common: their mean, and what they agree in."""
        return self._with_mean(self.alike)

    @property
    def everywhere(self) -> float:
        """The share that positions of different samples have in common."""
        return self._with_mean(self.fixed)

    def _with_mean(self, correlation: float) -> float:
        if not self.second:
            return correlation
        mean = min(self.center**2 / self.second, 1.0)
        return mean + (1 - mean) * correlation

    def over_positions(self, shares: float) -> Signal:
        """A weighted mean over positions, the squares of whose weights sum to `shares`: E[y²] = c + (E[x²] − c)·shares.

        c is what positions have in common: E[(Σᵢ wᵢxᵢ)²] = Σᵢⱼ wᵢwⱼ E[xᵢxⱼ] with Σ wᵢ = 1 and E[xᵢxⱼ] = c for i ≠ j.
        """
        if self.second is None:
            return self
        return self.but(second=self.second * (self.common + (1 - self.common) * shares))

    def fixed_of(self, mean: Signal) -> float:
        """What a mean over its positions has fixed: two samples have as much in common as before, of less spread."""
        if self.second is None or mean.second is None or not mean.spread:
            return self.fixed
        return min(self.fixed * (self.spread / mean.spread) ** 2, 1.0)

    def times(self, factor: float) -> Signal:
        """The signal times a number."""
        if factor == 1 or self.second is None:
            return self
        return self.but(second=factor**2 * self.second, mean=factor * self.center)

    def onward(self, index: int) -> frozenset[int]:
        """Its trail with one more operation."""
        return trail_of((self,), index)

    @property
    def spread(self) -> float:
        """Standard deviation, of a unit signal where the second moment is not known."""
        second = 1.0 if self.second is None else self.second
        return math.sqrt(max(second - self.center**2, 0.0))


def trail_of(signals: Iterable[Signal], index: int) -> frozenset[int]:
    """The operations by which one region makes several signals, and one more that reads them.

    A trail that is too long to be run again grows no further.
    """
    signals = tuple(signals)
    longest = max(signals, key=lambda signal: len(signal.trail)).trail
    if len(longest) > LONGEST:
        return longest
    return frozenset().union(*(signal.trail for signal in signals)) | {index}
