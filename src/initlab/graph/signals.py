"""A signal: what is known of one value at the start of training, when every weight gives a unit second moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch

from initlab.graph import expressions
from initlab.graph.signal_graph import Operation, SignalGraph, Value
from initlab.graph.tracer import constant_moments
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
        affine: for a norm's output, which of its "weight" and "bias" have been applied.
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
    affine: frozenset[str] = frozenset()

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
    kept: set[int] = field(default_factory=set)  # operations whose parameter stays as it is (layer scales, decays)
    budget: int = 100_000  # calls that may still be spent on running regions again

    def value(self, index: int) -> Value:
        return self.graph.values[index]

    def carried(self, operation: Operation) -> list[tuple[int, Signal]]:
        """The signals among an operation's inputs, in order, each once."""
        return [(value, self.signals[value]) for value in dict.fromkeys(operation.inputs) if value in self.signals]

    def constants(self, operation: Operation) -> list[tuple[float, float] | None]:
        """(mean, second moment) of its fixed tensors of more than one element; masks and ids are left out."""
        found: list[tuple[float, float] | None] = []
        for index in operation.inputs:
            value = self.value(index)
            if math.prod(value.shape) == 1 or not value.dtype.is_floating_point:
                continue
            if value.source == "constant":
                found.append(value.moments)
            elif index in self.views and operation.index in self.kept:
                tensor = self.held(index)
                found.append(None if tensor is None else constant_moments(tensor))
        return found

    def held(self, index: int) -> torch.Tensor | None:
        """The numbers of a constant, of a parameter, or of what is computed from them alone; None when not at hand."""
        value = self.value(index)
        if value.tensor is not None or value.producer is None:
            return value.tensor
        if ("held", index) not in self.cache:
            self.cache["held", index] = expressions.from_held(self, self.graph.operations[value.producer], index)
        found = self.cache["held", index]
        return found if isinstance(found, torch.Tensor) else None

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

    def later(self, operation: Operation, source: str, label: str, note: str = "") -> Signal:
        """A signal of one region whose moments are measured only if something asks (`settled`)."""
        signals = [signal for _, signal in self.carried(operation)]
        trail = frozenset().union(*(signal.trail for signal in signals)) | {operation.index}
        made = self.fresh(operation, None, None, source, label, note)
        return replace(made, region=signals[0].region, trail=trail)

    def settled(self, signal: Signal) -> Signal:
        """The signal with its moments measured, where they were left for later."""
        if signal.second is not None or signal.region == signal.root or not signal.trail:
            return signal
        found = expressions.measure(self, signal.region, signal.trail, signal.head)
        if found is None:
            return replace(signal, note=signal.note or "it could not be run again to be measured")
        return replace(signal, second=found.second, mean=found.mean)

    def measured(self, operation: Operation, signal: Signal, source: str, label: str) -> Signal | None:
        """The signal of an operation on one region, found by running it on Gaussian noise; None if it cannot be."""
        trail = frozenset().union(*(s.trail for _, s in self.carried(operation))) | {operation.index}
        found = expressions.measure(self, signal.region, trail, operation.outputs[0])
        if found is None:
            return None
        made = self.fresh(operation, found.second, found.mean, "norm" if found.scale_free else source, label)
        label = (operation.module_type or operation.kind) if found.scale_free else label
        return replace(made, label=label, region=signal.region, trail=trail)
