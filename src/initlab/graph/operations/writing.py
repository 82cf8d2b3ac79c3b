"""Places of a tensor written anew, or added to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op, factor_named
from initlab.graph.operations.pieces import plain_index
from initlab.graph.recording import Operation, Ref
from initlab.graph.regions import moments_of, settled
from initlab.graph.signals import Layout, Signal

# What is written: the argument's position and name.
_GIVEN = {
    "setitem": (2, "value"),
    "index_put": (2, "values"),
    "copy": (1, "src"),
    "masked_scatter": (2, "source"),
    "index_copy": (3, "source"),
    "index_add": (3, "source"),
    "scatter": (3, "src"),
    "scatter_add": (3, "src"),
}


@dataclass(frozen=True)
class _Written:
    """What was written into a tensor, whose writes are taken to go to different places.

    Args:
        under: (mean, second moment) of what was there before.
        size: how many numbers the tensor has.
        count: how many of them were written.
        mean: their mean.
        second: their second moment.
    """

    under: tuple[float, float]
    size: int
    count: int = 0
    mean: float = 0.0
    second: float = 0.0

    def then(self, count: int, mean: float, second: float) -> _Written:
        """With another write; where all is written already, it takes the place of as much of each before."""
        kept = min(self.count, self.size - count)
        total = max(kept + count, 1)
        mean, second = ((kept * a + count * b) / total for a, b in ((self.mean, mean), (self.second, second)))
        return replace(self, count=kept + count, mean=mean, second=second)

    @property
    def moments(self) -> tuple[float, float]:
        share = self.count / max(self.size, 1)
        return share * self.mean + (1 - share) * self.under[0], share * self.second + (1 - share) * self.under[1]


def overwritten(flow: Flow, operation: Operation) -> Signal:
    """Part of a tensor was written anew: E[y²] = s·E[written²] + (1 − s)·E[before²], s being the share written."""
    signals = [signal for value, signal in flow.carried(operation) if not _counts(flow, value)]
    if not signals:  # places, not signals: which expert takes which token
        return flow.fresh(operation, None, None, "unknown", operation.kind, "numbers that say where, not how much")
    into, given = operation.argument(0, "input"), _given(operation)
    count, what = _places(flow, operation, given), moments_of(flow, given)
    before = flow.cache.get(("written", into.value)) if isinstance(into, Ref) else None
    under = moments_of(flow, into) if before is None else None
    if count is None or what is None or not (under or isinstance(before, _Written)):
        return _mixture(flow, operation, signals)
    size = math.prod(flow.value(operation.outputs[0]).shape)
    found = (before if isinstance(before, _Written) else _Written(under or (0.0, 0.0), size)).then(
        min(count, size), *what
    )
    flow.cache["written", operation.outputs[0]] = found
    if len(signals) == 1 and math.isclose(found.moments[1], signals[0].second or 0.0):
        return _mixture(flow, operation, signals)
    mean, second = found.moments
    labels = dict.fromkeys(signal.label or "data" for signal in signals)
    return flow.fresh(operation, second, mean, "concat", next(iter(labels)) if len(labels) == 1 else "parts")


def _mixture(flow: Flow, operation: Operation, signals: list[Signal]) -> Signal:
    """Where the shares cannot be told: as many numbers of what was there as of what was written."""
    if len(signals) == 1:
        layout = (*signals[0].layout, Layout(operation.kind, str(operation.index), 0))
        return replace(signals[0], layout=layout, trail=signals[0].onward(operation.index))
    signals = [settled(flow, signal) for signal in signals]
    if any(signal.second is None for signal in signals):
        return flow.unsure(operation)
    return flow.mixed(operation, signals[:2], "concat", "parts")


def _given(operation: Operation) -> Any:
    """What is written."""
    position, name = _GIVEN.get(operation.kind, (1, "src"))
    return operation.argument(position, name, operation.kwargs.get("value"))


def _places(flow: Flow, operation: Operation, given: Any) -> int | None:
    """How many numbers are written; None where that is not at hand."""
    into = operation.argument(0, "input")
    if operation.kind == "alias" or not isinstance(into, Ref):
        return None
    shape = flow.value(into.value).shape
    if operation.kind == "copy":
        return math.prod(shape)
    if operation.kind == "masked_scatter":
        mask = operation.argument(1, "mask")
        share = flow.value(mask.value).moments if isinstance(mask, Ref) else None
        return None if share is None else round(share[0] * math.prod(shape))
    if operation.kind == "scatter":
        index = operation.argument(2, "index")
        return math.prod(flow.value(index.value).shape) if isinstance(index, Ref) else None
    items = operation.argument(1, "index")
    if operation.kind == "setitem" and all(
        plain_index(item) for item in (items if isinstance(items, tuple) else (items,))
    ):
        return math.prod(torch.empty(1).expand(shape)[items].shape)
    size = math.prod(flow.value(given.value).shape) if isinstance(given, Ref) else 1
    return size if size > 1 else None


def _counts(flow: Flow, value: int) -> bool:
    """Whether a value holds places (of what is not zero, of the largest) rather than a signal."""
    return not flow.value(value).is_real


def accumulated(flow: Flow, operation: Operation) -> Signal:
    """Rows added where an index says: n/m of them to each place, taken as independent, on top of what was there."""
    base, added = operation.argument(0, "input"), _given(operation)
    signal = flow.signals.get(added.value) if isinstance(added, Ref) else None
    if signal is None or not isinstance(base, Ref):
        return overwritten(flow, operation)
    signal = settled(flow, signal).times(factor_named(operation, "alpha"))
    under = settled(flow, flow.signals[base.value]) if base.value in flow.signals else None
    mean, second = (under.center, under.second) if under is not None else flow.value(base.value).moments or (0.0, None)
    if signal.second is None or second is None:
        return flow.unsure(operation, signal.note)
    share = math.prod(flow.value(added.value).shape) / max(1, math.prod(flow.value(base.value).shape))
    spread = signal.second - signal.center**2
    sums = share * signal.second if share <= 1 else share * spread + (share * signal.center) ** 2
    total = second + sums + 2 * mean * share * signal.center
    return flow.fresh(operation, total, mean + share * signal.center, "sum", "sum")


def put(flow: Flow, operation: Operation) -> Signal:
    """torch.index_put, which adds where it is told to."""
    return (accumulated if operation.argument(3, "accumulate", False) else overwritten)(flow, operation)


OPS = (
    Op(("alias", "setitem", "index_copy", "masked_scatter", "copy", "scatter"), overwritten, combines="write"),
    Op(("index_put",), put, combines="write"),
    Op(("scatter_reduce", "index_reduce"), combines="write"),
    Op(("index_add", "scatter_add"), accumulated, combines="write", accumulates=True),
)
