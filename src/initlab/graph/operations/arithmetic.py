"""Sums and products of two: of a signal and a number, a fixed tensor, itself, or another signal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from initlab.graph.flow import Flow
from initlab.graph.marginals import note_sum
from initlab.graph.operations.op import Op, factor_named
from initlab.graph.operations.pointwise import alike, composed
from initlab.graph.recording import Operation, constant_moments
from initlab.graph.regions import beyond_mean, measured, settled
from initlab.graph.replay import constants, held
from initlab.graph.signals import Signal
from initlab.graph.views import complex_parts
from initlab.guest.doubles import doubled


def added(flow: Flow, operation: Operation) -> Signal:
    signals = [signal for _, signal in flow.carried(operation)]
    fixed = constants(flow, operation)
    if alike(signals) and not fixed:
        return composed(flow, operation, signals)
    if len(signals) == 1:
        return _with_constant(flow, operation, signals[0], fixed)
    if _one_region(signals):
        return flow.later(operation, "sum", "sum")
    factors = dict(zip(operation.inputs, _factors(operation), strict=False))
    given = [(settled(flow, signal), factors[value]) for value, signal in _repeated(flow, operation)]
    signals = _shared(flow, operation, [signal.times(factor) for signal, factor in given])
    if any(signal.second is None for signal in signals):
        note = next(signal.note for signal in signals if signal.second is None)
        return flow.fresh(operation, None, None, "sum", "sum", note or "a sum with an unknown part")
    first, second = signals[0], signals[1]
    total = (first.second or 0) + (second.second or 0) + 2 * first.center * second.center
    made = flow.fresh(operation, total, first.center + second.center, "sum", "sum")
    note_sum(
        flow, operation.outputs[0], [(signal, added, by) for (signal, by), added in zip(given, signals, strict=True)]
    )
    flow.follow_scores(operation)
    return flow.agreeing(made, signals)


def _repeated(flow: Flow, operation: Operation) -> list[tuple[int, Signal]]:
    """The signals that an operation reads; positions to which one number of a sample is repeated have all in common."""
    made = flow.value(operation.outputs[0]).shape
    own = {flow.graph.feature_axis(value) - len(flow.value(value).shape) for value in operation.inputs} | {-len(made)}
    found = []
    for value, signal in flow.carried(operation):
        given = flow.value(value).shape
        places = [axis for axis in range(-len(made), 0) if axis not in own and made[axis] > 1]
        alone = bool(places) and all(-axis > len(given) or given[axis] == 1 for axis in places)
        found.append((value, replace(signal, alike=1.0) if alone else signal))
    return found


def _factors(operation: Operation) -> tuple[float, float]:
    """a and b of a·x + b·y: torch.add and torch.sub multiply the second by `alpha`."""
    factor = factor_named(operation, "alpha")
    return 1.0, -factor if operation.kind == "sub" else factor


def _shared(flow: Flow, operation: Operation, signals: list[Signal]) -> list[Signal]:
    """The operands as they are added, of which branches and positions are brought to a share of the other.

    One whose size is not known is taken to be of second moment one, and is that share afterwards all the same.
    """
    found, values = list(signals), [value for value, _ in flow.carried(operation)]
    for place, other in ((0, 1), (1, 0)):
        share, own, base = flow.graph.shares.get((operation.index, values[place])), found[place], found[other].second
        if share is not None and base and own.second != 0:
            second = 1.0 if own.second is None else own.second
            factor = share.factor(second, base)
            flow.lessened |= dict.fromkeys(share.names, factor)
            found[place] = own.but(second=factor * second, mean=math.sqrt(factor) * own.center)
    return found


def multiplied(flow: Flow, operation: Operation) -> Signal:
    signals = [signal for _, signal in flow.carried(operation)]
    fixed = constants(flow, operation)
    if alike(signals) and not fixed:
        return composed(flow, operation, signals)
    if len(signals) == 1:
        return _with_constant(flow, operation, signals[0], fixed)
    if _one_region(signals) or operation.kind == "div":
        regions = {signal.region for signal in signals}
        found = measured(flow, operation, signals[0], "product", "product") if len(regions) == 1 else None
        return found or flow.unsure(operation)
    signals = [settled(flow, signal) for _, signal in _repeated(flow, operation)]
    labels = "×".join(str(signal.label or "data") for signal in signals)
    if any(signal.second is None for signal in signals):
        return flow.fresh(operation, None, None, "product", labels, "a product with an unknown factor")
    second, mean = (math.prod(numbers) for numbers in zip(*((s.second or 0.0, s.center) for s in signals), strict=True))
    made = flow.fresh(operation, second, mean, "product", labels)
    flow.origins[operation.outputs[0]] = flow.origin(operation)
    both = math.prod(signal.common for signal in signals)  # E[xᵢyᵢxⱼyⱼ] of independent x and y
    apart = math.prod(signal.everywhere for signal in signals)
    return made.but(alike=beyond_mean(both * second, mean, second), fixed=beyond_mean(apart * second, mean, second))


def factor_with(kind: str, operands: Sequence[Any], number_of: Callable[[Any], float | None]) -> float | None:
    """What a product or quotient of a signal and one number multiplies the signal by; None of anything else.

    Args:
        kind: of the operation; only "mul" and "div" have a factor, and what is divided is none.
        operands: the two, in order.
        number_of: the number that an operand stands for; None of a signal.

    >>> factor_with("div", ("signal", 4.0), lambda item: item if isinstance(item, float) else None)
    0.25
    """
    read = {"mul": operands[:2], "div": operands[1:2]}.get(kind, ())
    numbers = [number for item in read if (number := number_of(item)) is not None]
    if len(numbers) != 1 or (kind == "div" and not numbers[0]):
        return None
    return numbers[0] if kind == "mul" else 1.0 / numbers[0]


def _one_region(signals: list[Signal]) -> bool:
    """Whether both are computed from one root, and not from separate parts of it, which are independent."""
    return len({signal.region for signal in signals}) == 1 and not _apart(signals[0], signals[1])


def _apart(first: Signal, second: Signal) -> bool:
    """Whether two views of one value take different pieces of it."""
    for one, other in zip(first.layout, second.layout, strict=False):
        if one != other:
            return one.kind == other.kind and (one.arguments == other.arguments or one.part)
    return False


def _with_constant(flow: Flow, operation: Operation, signal: Signal, fixed: list[tuple[float, float] | None]) -> Signal:
    """A signal and a fixed tensor, such as sinusoidal positions or a layer scale."""
    moments, signal = fixed[0] if len(fixed) == 1 else None, settled(flow, signal)
    if operation.kind == "div" and moments is not None:
        moments = _reciprocal(flow, operation)
    trail = signal.onward(operation.index)
    if signal.second is None or moments is None:
        return flow.unsure(operation).but(region=signal.region, trail=trail)
    mean, second = moments
    if operation.traits.combines == "product":
        made = flow.fresh(operation, signal.second * second, signal.center * mean, signal.source, signal.label)
    else:
        own, other = _factors(operation) if operation.inputs[0] in flow.signals else _factors(operation)[::-1]
        total = own**2 * signal.second + other**2 * second + 2 * own * other * signal.center * mean
        made = flow.fresh(operation, total, own * signal.center + other * mean, signal.source, signal.label)
        made = _agreeing_beside(flow, operation, signal, made, second)
    return made.but(where=signal.where, region=signal.region, trail=trail)


def _agreeing_beside(flow: Flow, operation: Operation, signal: Signal, made: Signal, second: float) -> Signal:
    """How far positions agree in a signal plus a fixed tensor (…, positions, features), each by its size.

    Of the fixed tensor t it is (E_f[(E_p t)²] − (E t)²) / (E[t²] − (E t)²): slow sinusoids agree, and a
    constant has nothing beyond its mean.
    """
    tensors = [held(flow, value) for value in operation.inputs if value not in flow.signals]
    tensor = next((t for t in tensors if t is not None and t.dim() > 1 and t.is_floating_point()), None)
    if tensor is None or not signal.second:
        return made.but(alike=signal.alike, fixed=signal.fixed)
    numbers = doubled(tensor)
    spread = float(numbers.var(unbiased=False))
    agreed = float(numbers.mean(-2).var(unbiased=False)) / spread if spread > 0 else 0.0
    alike, fixed = ((of * signal.second + agreed * second) / (signal.second + second)
                    for of in (signal.alike, signal.fixed))  # fmt: skip
    return made.but(alike=alike, fixed=fixed)


def _reciprocal(flow: Flow, operation: Operation) -> tuple[float, float] | None:
    """(mean, second moment) of one over the fixed tensor that a signal is divided by."""
    divisor = operation.inputs[-1]
    tensor = None if divisor in flow.signals else held(flow, divisor)
    if tensor is None or not tensor.is_floating_point() or bool((tensor == 0).any()):
        return None
    return constant_moments(1 / tensor)


_OPS = (
    Op(("add",), added, names=("radd",), combines="sum", start=0.0, view=complex_parts),
    Op(("sub",), added, names=("subtract",), combines="sum", start=0.0),
    Op(("complex",), added, combines="sum", view=complex_parts),
    Op(("mul",), multiplied, names=("multiply", "rmul"), combines="product", by_value=True),
    Op(("div",), multiplied, names=("truediv", "true_divide", "divide"), combines="product"),
)
OPS = tuple(replace(op, pointwise=True) for op in _OPS)
