"""The state of one walk through a recording: what is known so far of every value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from initlab.graph.draws import Kept
from initlab.graph.recording import Operation, Recording, Value
from initlab.graph.signals import Signal, trail_of
from initlab.graph.views import ParameterView

FARTHEST = 256  # operations behind a product beyond which it is taken up anew


class Origins(NamedTuple):
    """What a product of several signals is computed from: the outputs of weights, and the operations from there on."""

    roots: frozenset[int]
    trail: frozenset[int]


@dataclass
class Flow:
    """The state of one walk through a recording: the signal of every value, and the views of every parameter."""

    graph: Recording
    signals: dict[int, Signal] = field(default_factory=dict)
    views: dict[int, ParameterView] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)  # integers that come from the inputs: token ids, masks, positions
    cache: dict[object, object] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)  # operations whose parameter stays as it is (layer scales, decays)
    origins: dict[int, Origins] = field(default_factory=dict)  # of products, which are roots of regions of their own
    lessened: dict[str, float] = field(default_factory=dict)  # by parameter, its output's second moment for a share
    scored: dict[int, float] = field(default_factory=dict)  # by product of queries and keys, what brings it to one
    filled: dict[int, torch.Tensor] = field(default_factory=dict)  # 1 at places that hold something, 0 at padding
    points: dict[int, torch.Tensor] = field(default_factory=dict)  # where a law is no Gaussian's (`marginals`)
    drawn: Kept = field(default_factory=Kept)
    budget: int = 100_000  # calls that may still be spent on running regions again
    work: int = 1 << 30  # numbers that may still be read and made in running products again

    def value(self, index: int) -> Value:
        return self.graph.values[index]

    def carried(self, operation: Operation) -> list[tuple[int, Signal]]:
        """The signals among an operation's inputs, in order, each once."""
        return [(value, self.signals[value]) for value in dict.fromkeys(operation.inputs) if value in self.signals]

    def origin(self, operation: Operation) -> Origins:
        """The roots of all that an operation reads, and the operations from them to what it makes.

        What would be too long to be run again is a root itself, so that steps of a scan hold few before them.
        """
        roots, trail = set[int](), {operation.index}
        for _, signal in self.carried(operation):
            before = self.origins.get(signal.region, Origins(frozenset({signal.region}), frozenset()))
            roots |= before.roots
            trail |= before.trail | signal.trail
        if len(trail) > FARTHEST:
            return Origins(frozenset(operation.outputs[:1]), frozenset())
        return Origins(frozenset(roots), frozenset(trail))

    def follow_scores(self, operation: Operation) -> None:
        """What is added to scores, or stands beside them as a sink's do, has the origin of their product."""
        signals = [signal for _, signal in self.carried(operation)]
        if any(signal.region in self.origins or signal.source == "product" for signal in signals):
            self.origins[operation.outputs[0]] = self.origin(operation)

    def fresh(
        self,
        operation: Operation,
        second: float | None,
        mean: float | None,
        source: str,
        label: str | None,
        note: str = "",
    ) -> Signal:
        """A signal that starts anew: nothing before it is needed to know it."""
        value = operation.outputs[0]
        made = Signal(second, mean, source, label, operation.where, value, head=value, region=value, note=note)
        return self.agreeing(made, [signal for _, signal in self.carried(operation)])

    def agreeing(self, made: Signal, read: list[Signal]) -> Signal:
        """A signal whose positions agree as far as those of what it is made of, each by its size."""
        sizes = [1.0 if signal.second is None else signal.second for signal in read]
        whole = sum(sizes) or 1.0
        alike, fixed = (
            sum(number * size for number, size in zip(numbers, sizes, strict=True)) / whole
            for numbers in ([signal.alike for signal in read], [signal.fixed for signal in read])
        )
        return made.but(alike=alike, fixed=fixed)

    def unsure(self, operation: Operation, note: str = "") -> Signal:
        """A signal whose second moment is not known, and why."""
        words = note or f"what {operation.kind} does to the second moment is not known"
        return self.fresh(operation, None, None, "unknown", operation.kind, words)

    def mixed(self, operation: Operation, signals: list[Signal], source: str, label: str) -> Signal:
        """Numbers of several signals, as many of each."""
        second = sum(signal.second or 0.0 for signal in signals) / len(signals)
        mean = sum(signal.center for signal in signals) / len(signals)
        return self.fresh(operation, second, mean, source, label)

    def averaged(self, operation: Operation, values: Signal, shares: float | None, count: int) -> Signal:
        """Attention's average of the values.

        Args:
            operation: what averages.
            values: what is averaged.
            shares: the mean of Σ a² over the positions that read; None where the weights are not known.
            count: over how many positions.
        """
        if shares is None:
            note = "positions taken as alike"
            return self.fresh(operation, values.second, values.mean, "attention", "attention", note)
        made = values.over_positions(shares)
        agreed = values.over_positions(1 / count)  # what two means share that weigh every position alike
        found = self.fresh(operation, made.second, values.mean, "attention", "attention")
        both = min((agreed.second or 0.0) / made.second, 1.0) if made.second else 0.0
        mean = min(values.center**2 / made.second, 1.0) if made.second else 0.0
        found = found.but(alike=(both - mean) / (1 - mean) if mean < 1 else 0.0)
        return found.but(fixed=values.fixed_of(found))

    def later(self, operation: Operation, source: str, label: str, note: str = "") -> Signal:
        """A signal of one region whose moments are measured only if something asks (`regions.settled`)."""
        signals = [signal for _, signal in self.carried(operation)]
        trail = trail_of(signals, operation.index)
        made = self.fresh(operation, None, None, source, label, note)
        return made.but(region=signals[0].region, trail=trail)
