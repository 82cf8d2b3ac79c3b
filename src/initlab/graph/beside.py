"""A parameter that stands beside a signal: its role there, and the signal that comes of the two."""

from __future__ import annotations

import math
from dataclasses import replace

from initlab.graph.axes import axes_of_features
from initlab.graph.flow import Flow
from initlab.graph.found import Found
from initlab.graph.layers import vector
from initlab.graph.recording import Operation, Share
from initlab.graph.ruled import ruled
from initlab.graph.signals import Signal
from initlab.graph.uses import Use
from initlab.graph.views import ParameterView


def with_parameter(flow: Flow, operation: Operation, held: dict[int, ParameterView], found: Found) -> list[Signal]:
    """The outputs of an operation that joins a signal and parameters, whose uses are noted."""
    carried = flow.carried(operation)
    signal = carried[0][1]
    role = _role_beside(flow, operation, held, signal, found)
    for view in held.values():
        geometry = vector(view.whole, role) if role != "other" else None
        made = Use(operation, role, None, geometry, operation.outputs[0], view.exact, places=view.places)
        made = replace(made, proportional=view.proportional)
        found.add(view.name, made)
        for name in view.names[1:]:
            found.add(name, Use(operation, "other", None, None, operation.outputs[0], False))
    if role == "other":
        flow.kept.add(operation.index)
    if operation.traits.combines == "join":
        return [flow.fresh(operation, signal.second, signal.mean, "concat", signal.label).but(where=signal.where)]
    if len(carried) > 1 or (role == "other" and operation.traits.combines != "sum"):
        return ruled(flow, operation)
    applied = frozenset({"weight"} if operation.traits.combines == "product" else {"bias"})
    signal = times_scale(flow, next(iter(held.values())), signal) if role == "norm_weight" else signal
    signal = signal.but(trail=signal.onward(operation.index), affine=signal.affine | applied)
    shifted = signal
    if operation.traits.combines == "sum" and len(held) == 1:
        value, view = next(iter(held.items()))
        share = flow.graph.shares.get((operation.index, value))
        shifted = shifted_by(flow, view, signal, share, apart=sum(size != 1 for size in view.whole) > 1)
    return [signal if shifted is signal else _as_root(shifted, operation.outputs[0])]


def _as_root(signal: Signal, value: int) -> Signal:
    """A signal as that which functions after it are functions of."""
    return signal.but(root=value, ops=(), head=value, layout=(), region=value, trail=frozenset())


def _role_beside(flow: Flow, operation: Operation, held: dict[int, ParameterView], signal: Signal, found: Found) -> str:
    """A vector added to a weight's output is its bias; one that scales a normalised signal is the norm's."""
    summed = operation.traits.combines == "sum"
    if len(held) > 1:
        return "other"
    view = next(iter(held.values()))
    of_norm = signal.source == "norm" and (not summed or "weight" in signal.affine)  # one of a stack of norms' vectors
    places = {axis for axis, _ in view.places} if of_norm else set()
    long_axes = sum(size != 1 for axis, size in enumerate(view.whole) if axis not in places)
    if summed and not view.proportional:
        return "other"
    if long_axes > 1:
        stacked = summed and signal.source == "weight" and not signal.ops
        each = stacked and (found.is_for_each(view, signal.root) or _along_features(flow, operation, signal.root))
        return "bias" if each else "other"
    if summed:
        if signal.source == "norm":
            return "other" if "bias" in signal.affine else "norm_bias"
        return "bias" if signal.source in ("weight", "product", "sum") and not signal.ops else "other"
    one_of_many = not long_axes and math.prod(view.whole) > 1  # a number picked from a row of factors
    if operation.kind == "mul" and signal.source == "norm" and not (signal.ops or signal.affine or one_of_many):
        return "norm_weight"
    return "other"


def _along_features(flow: Flow, addition: Operation, made: int) -> bool:
    """Whether what is added to a weight's output has numbers for its features alone, which were parted, as into heads.

    Args:
        flow: the walk so far.
        addition: the sum.
        made: what the weight made.
    """
    maker, places = flow.graph.producer(made), len(flow.value(addition.outputs[0]).shape)
    read = next(value for value in addition.inputs if value in flow.signals)
    features = None if maker is None else axes_of_features(flow.graph, maker, read, parts=True)
    if features is None or len(flow.value(read).shape) != places:
        return False
    added = next(flow.value(value).shape for value in addition.inputs if value in flow.views)
    return all(places - len(added) + axis in features for axis, size in enumerate(added) if size != 1)


def shifted_by(
    flow: Flow, added: ParameterView, signal: Signal, share: Share | None = None, apart: bool = False
) -> Signal:
    """A signal plus a parameter of other numbers than zero: E[(y + b)²] = E[y²] + E[b²] + 2·E[y]·E[b].

    Positions have a bias in common: beyond their mean, what of its spread is not of one number.

    Args:
        flow: the walk so far.
        added: the parameter.
        signal: what it is added to.
        share: what of the signal's second moment the parameter is brought to.
        apart: whether each position has a row of its own, as of a table of positions.
    """
    mean, second = flow.graph.shifts.get(added.name, (0.0, 0.0))
    if not second or signal.second is None:
        return signal
    if share is not None:
        factor = share.factor(second, signal.second)
        flow.lessened |= dict.fromkeys(share.names, factor)
        mean, second = math.sqrt(factor) * mean, factor * second
    spread, own = second - mean**2, signal.second - signal.center**2
    total, whole = signal.second + second + 2 * signal.center * mean, (own + spread) or 1.0
    common = 0.0 if apart else spread
    alike, fixed = ((number * own + common) / whole for number in (signal.alike, signal.fixed))
    return signal.but(second=total, mean=signal.center + mean, alike=alike, fixed=fixed)


def times_scale(flow: Flow, scale: ParameterView, normalised: Signal) -> Signal:
    """A normalised signal times the scale of its norm: one, but where it is to have another size."""
    size = flow.graph.sizes.get(scale.name, 1.0) if scale.exact else 1.0
    if size == 1.0 or normalised.second is None:
        return normalised
    return normalised.but(second=normalised.second * size, mean=normalised.center * math.sqrt(size))
