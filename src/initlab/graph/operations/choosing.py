"""One of two at each place: by a mask that is fixed, or by what a signal is there."""

from __future__ import annotations

from typing import Any

from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op
from initlab.graph.operations.pointwise import alike, elementwise
from initlab.graph.recording import Operation, Ref
from initlab.graph.regions import measured, moments_of
from initlab.graph.replay import constants
from initlab.graph.signals import Signal

CLOSED = 1e3  # a number from which what stands in place of scores says that a softmax is to leave them out


def chosen(flow: Flow, operation: Operation) -> Signal:
    """torch.where(condition, x, y)."""
    condition, first, second = (operation.argument(*place) for place in ((0, "condition"), (1, "input"), (2, "other")))
    if first is None:  # the places at which a condition holds
        return elementwise(flow, operation)
    return _one_of(flow, operation, condition, first, second)


def filled(flow: Flow, operation: Operation) -> Signal:
    """x.masked_fill(mask, number)."""
    mask, value = operation.argument(1, "mask"), operation.argument(2, "value", 0.0)
    return _one_of(flow, operation, mask, value, operation.argument(0, "input"))


def _one_of(flow: Flow, operation: Operation, condition: Any, first: Any, second: Any) -> Signal:
    """E[y²] = p·E[a²] + (1 − p)·E[b²] where the condition is independent of both; where it is not, as noise shows."""
    signals = [signal for _, signal in flow.carried(operation)]
    if alike(signals) and not constants(flow, operation) and len(signals) > 1:
        return elementwise(flow, operation)
    parts = [item for item in (first, second) if _signal(flow, item) is not None]
    if len(parts) == 1 and _closes(flow, second if parts[0] is first else first):
        return _as_is(flow, operation, parts[0])
    if len(signals) > 1 and len({signal.region for signal in signals}) == 1:
        return measured(flow, operation, signals[0], "activation", operation.kind) or flow.unsure(operation)
    share, moments = _share(flow, condition), [moments_of(flow, item) for item in (first, second)]
    if len(parts) == 1 and (share is None or None in moments):
        return _as_is(flow, operation, parts[0])
    share = 0.5 if share is None else share
    if not parts or moments[0] is None or moments[1] is None:
        return flow.unsure(operation)
    mean, square = (share * a + (1 - share) * b for a, b in zip(*moments, strict=True))
    if len(parts) > 1:
        return flow.fresh(operation, square, mean, "sum", "where")
    kept = _signal(flow, parts[0])
    assert kept is not None
    if (mean, square) == (kept.center, kept.second):
        return _as_is(flow, operation, parts[0])
    made = flow.fresh(operation, square, mean, kept.source, kept.label, kept.note)
    return made.but(where=kept.where, region=kept.region, trail=kept.onward(operation.index))


def _as_is(flow: Flow, operation: Operation, item: Ref) -> Signal:
    signal = flow.signals[item.value]
    return signal.but(trail=signal.onward(operation.index))


def _signal(flow: Flow, item: Any) -> Signal | None:
    return flow.signals.get(item.value) if isinstance(item, Ref) else None


def _share(flow: Flow, condition: Any) -> float | None:
    """The share of places at which a condition holds; None where it is not at hand."""
    signal = _signal(flow, condition)
    if signal is not None:  # routing has many masks, each a measurement of its own
        return signal.mean
    found = moments_of(flow, condition)
    return None if found is None else found[0]


def _closes(flow: Flow, item: Any) -> bool:
    """Whether what stands in place of a signal keeps it out: −∞, or a number that no signal reaches."""
    found = moments_of(flow, item)
    return found is None or not abs(found[0]) < CLOSED


OPS = (
    Op(("where",), chosen, combines="choice"),
    Op(("masked_fill",), filled, linear=True),
)
