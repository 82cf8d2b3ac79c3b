"""A signal: what is known of one value at the start of training, when every weight gives a unit second moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from initlab.graph import expressions
from initlab.graph.signal_graph import Operation, SignalGraph, Value
from initlab.graph.views import ParameterView


@dataclass(frozen=True)
class Signal:
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
    """

    second: float | None
    mean: float | None
    source: str
    label: str | None
    where: str
    root: int
    ops: tuple[int, ...] = ()
    head: int = -1
    layout: tuple[tuple[str, str, int], ...] = ()
    region: int = -1
    trail: frozenset[int] = frozenset()
    note: str = ""

    @property
    def center(self) -> float:
        return self.mean or 0.0

    @property
    def spread(self) -> float:
        """Standard deviation, of a unit signal where the second moment is not known."""
        second = 1.0 if self.second is None else self.second
        return math.sqrt(max(second - self.center**2, 0.0))


@dataclass
class Flow:
    """The state of one walk through a recording: the signal of every value, and the views of every parameter."""

    graph: SignalGraph
    signals: dict[int, Signal] = field(default_factory=dict)
    views: dict[int, ParameterView] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)  # integers that come from the inputs: token ids, masks, positions
    cache: dict[object, object] = field(default_factory=dict)

    def value(self, index: int) -> Value:
        return self.graph.values[index]

    def carried(self, operation: Operation) -> list[tuple[int, Signal]]:
        """The signals among an operation's inputs, in order, each once."""
        return [(value, self.signals[value]) for value in dict.fromkeys(operation.inputs) if value in self.signals]

    def constants(self, operation: Operation) -> list[Value]:
        """Its constant tensors with more than one element, masks and ids left out."""
        found = (self.value(value) for value in operation.inputs)
        return [
            value
            for value in found
            if value.source == "constant" and math.prod(value.shape) != 1 and value.dtype.is_floating_point
        ]

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
        return Signal(second, mean, source, label, operation.where, value, head=value, region=value, note=note)

    def measured(self, operation: Operation, signal: Signal, source: str, label: str) -> Signal | None:
        """The signal of an operation on one region, found by running it on Gaussian noise; None if it cannot be."""
        trail = frozenset().union(*(s.trail for _, s in self.carried(operation))) | {operation.index}
        found = expressions.measure(self, signal.region, trail, operation.outputs[0])
        if found is None:
            return None
        made = self.fresh(operation, found.second, found.mean, "norm" if found.scale_free else source, label)
        label = (operation.module_type or operation.kind) if found.scale_free else label
        return replace(made, label=label, region=signal.region, trail=trail)
