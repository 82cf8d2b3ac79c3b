"""Many numbers into one: means, sums, extremes, statistics along an axis."""

from __future__ import annotations

import math
from dataclasses import replace

from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op
from initlab.graph.operations.pointwise import elementwise
from initlab.graph.recording import Operation
from initlab.graph.regions import measured
from initlab.graph.signals import Signal


def reduced(flow: Flow, operation: Operation) -> Signal:
    """What is made of independent neighbours, by running it on noise (with the activation before it)."""
    base = flow.carried(operation)[0][1]
    made = measured(flow, operation, base, "pool", _label(operation, base))
    if made is None:
        return replace(flow.unsure(operation), region=base.region, trail=base.onward(operation.index))
    return replace(made, where=operation.where)


def along(flow: Flow, operation: Operation) -> Signal:
    """The same, measured only if something asks: scans and Sinkhorn's steps have many such, one made of another."""
    return flow.later(operation, "pool", _label(operation, flow.carried(operation)[0][1]))


def normalized(flow: Flow, operation: Operation) -> Signal:
    """Numbers divided by their norm; by their sum they are shares of it, which Sinkhorn's steps make again."""
    return (reduced if operation.argument(1, "p", 2.0) == 2 else along)(flow, operation)


def _label(operation: Operation, base: Signal) -> str:
    return operation.kind if base.source in ("data", "weight", "norm") else f"{operation.kind} of {base.label}"


def extreme(flow: Flow, operation: Operation) -> Signal:
    """The largest along an axis, or the larger of two."""
    return (elementwise if len(flow.carried(operation)) == 2 else reduced)(flow, operation)


def averaged(flow: Flow, operation: Operation) -> list[Signal]:
    """A mean of n numbers: what they have in common, and 1/n of the rest."""
    value, signal = flow.carried(operation)[0]
    before, after = flow.value(value).shape, flow.value(operation.outputs[0]).shape
    made = signal.over_positions(_shares(before, after, operation.traits.pools and len(before) == len(after)))
    fresh = flow.fresh(operation, made.second, signal.mean, "pool", f"mean of {signal.label or 'data'}")
    return _over_axis(flow, operation, fresh.but(fixed=signal.fixed_of(fresh)))


def _shares(before: tuple[int, ...], after: tuple[int, ...], windows: bool) -> float:
    """The mean of 1/n of what is averaged; adaptive pooling's windows ⌊oL/m⌋ … ⌈(o+1)L/m⌉ overlap where m∤L."""
    if not windows:
        return math.prod(after) / math.prod(before) if math.prod(before) else 1.0
    found = 1.0
    for length, count in zip(before, after, strict=True):
        if 0 < count != length > 0:
            found *= sum(1 / (-(-(o + 1) * length // count) - o * length // count) for o in range(count)) / count
    return found


def statistic(flow: Flow, operation: Operation) -> list[Signal]:
    """A statistic, which only counts where a norm is made of it."""
    note = f"{operation.kind} of independent numbers"
    return _over_axis(flow, operation, flow.fresh(operation, None, None, "unknown", operation.kind, note))


def _over_axis(flow: Flow, operation: Operation, made: Signal) -> list[Signal]:
    signal = flow.carried(operation)[0][1]
    trail = signal.onward(operation.index)
    return [
        replace(made, root=value, head=value, region=signal.region, trail=trail, where=signal.where)
        for value in operation.outputs
    ]


OPS = (
    Op(("mean", "nanmean"), averaged, linear=True, pools=True),
    Op(("sum",), statistic, linear=True),
    Op(("cumsum",), along, linear=True, mixes=True),
    Op(("max", "min"), extreme, pools=True),
    Op(("amax", "amin"), reduced, pools=True),
    Op(("logsumexp",), along, pools=True),
    Op(("normalize",), normalized, norm=True, mixes=True),
    Op(("topk",), reduced, ranks=True, pools=True),
    Op(("nms",), ranks=True),
    Op(
        ("norm", "vector_norm", "linalg_vector_norm", "linalg_norm"), statistic, degree=1.0, even=True,
    ),
    Op(("var", "std", "var_mean", "std_mean", "prod"), statistic),
    Op(("median", "nanmedian", "quantile", "kthvalue"), statistic, pools=True),
    Op(("segment_reduce",), statistic, pools=True),
    Op(("pairwise_distance", "dist"), degree=1.0, even=True),
    Op(("cross_entropy",), logits=True),
)  # fmt: skip
