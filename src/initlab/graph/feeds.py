"""Walks a recording once, forward: the signal of every value, and for every parameter its uses and what feeds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch

from initlab.graph.arrivals import feed_of
from initlab.graph.beside import shifted_by, times_scale, with_parameter
from initlab.graph.flow import Flow
from initlab.graph.found import Found
from initlab.graph.layers import vector
from initlab.graph.operations import TABLE
from initlab.graph.operations.op import Part
from initlab.graph.packing import Packed, packed_by_pieces, packed_by_split
from initlab.graph.recording import Operation, Recording, Ref
from initlab.graph.regions import filled_rows, settled
from initlab.graph.replay import held, multiplied_by
from initlab.graph.ruled import ruled
from initlab.graph.signals import Signal
from initlab.graph.uses import Feed, Use
from initlab.graph.views import ParameterView
from initlab.graph.weights import WeightUse, geometry_of_part
from initlab.guest.doubles import doubled
from initlab.rng import random_states_kept_once

_LARGEST = 1e100  # of moments: what a rule makes of two such can still be written as a float
_BEYOND = "it grows beyond any number"


@dataclass(frozen=True)
class Walked:
    """What a walk through a recording found.

    Args:
        uses: every parameter's uses, in forward order.
        lessened: by parameter, what the second moment of what it makes is multiplied by where that joins a stream, so
            that it is its share of it.
        scored: by product of queries and keys, what brings its second moment to one.
    """

    uses: Mapping[str, tuple[Use, ...]]
    lessened: Mapping[str, float]
    scored: Mapping[int, float]


@random_states_kept_once()
def walked(graph: Recording) -> Walked:
    """The uses of every parameter, and the sizes that targets of the recording ask of what some make."""
    flow, found = Flow(graph, cache=graph.computed), Found()
    for value in graph.inputs:
        _input(flow, value)
    for operation in graph.operations:
        _step(flow, operation, found)
    if "packed" not in graph.computed:  # of the first walk: other sizes do not change it
        graph.computed["packed"] = {**packed_by_split(graph, found.uses), **packed_by_pieces(found.uses, found.views)}
    packed = cast(Packed, graph.computed["packed"])
    uses = {
        name: tuple(
            replace(use, geometry=packed[name]) if use.geometry is not None and name in packed else use for use in uses
        )
        for name, uses in found.uses.items()
    }
    return Walked(uses, flow.lessened, flow.scored)


def _input(flow: Flow, value: int) -> None:
    if flow.value(value).is_real:
        mean, second = flow.value(value).moments or (0.0, 1.0)  # of a fixed tensor, its own
        flow.signals[value] = Signal(second, mean, "data", None, "", value, head=value, region=value)
    else:
        flow.numbers.add(value)


def _step(flow: Flow, operation: Operation, found: Found) -> None:
    for value in operation.inputs:
        if flow.value(value).source == "parameter" and value not in flow.views:
            flow.views[value] = ParameterView.of(flow.value(value))
    given = _given_to_a_layer(flow, operation)
    if given is not None:
        _input(flow, given)
    held = {value: flow.views[value] for value in operation.inputs if value in flow.views and value != given}
    carried = any(value in flow.signals for value in operation.inputs) or operation.traits.random_like
    picked = bool(held) and carried and _picks_weights(flow, operation, held)
    if not held and not carried:
        _integers(flow, operation)
    elif picked or (held and not carried and not _reads_rows(flow, operation)):
        made = TABLE[operation.kind].viewed(
            operation, list(held.values()), [flow.value(value) for value in operation.outputs]
        )
        scaled, grows = _scaled(flow, operation, held), _grows(flow, operation)
        views = (replace(view, scaled=scaled, proportional=view.proportional and grows) for view in made)
        flow.views.update(zip(operation.outputs, views, strict=False))
    else:
        _apply(flow, operation, held, found)


def _scaled(flow: Flow, operation: Operation, held: dict[int, ParameterView]) -> float:
    """The second moment of the fixed numbers that parameters come multiplied by; 1 where that cannot be told."""
    if operation.traits.combines == "sum" and flow.value(operation.outputs[0]).dtype.is_complex:
        return sum(view.scaled for view in held.values())  # of a real and an imaginary part
    if operation.traits.combines == "product":
        number = multiplied_by(flow, operation) if len(held) == 1 else None
        return math.prod(view.scaled for view in held.values()) * (number or 1.0)
    before = {view.scaled for view in held.values()}
    kept = operation.traits.passes or operation.traits.keeps == "pieces" or operation.traits.combines == "join"
    return before.pop() if kept and len(before) == 1 else 1.0


def _grows(flow: Flow, operation: Operation) -> bool:
    """Whether what an operation makes of a parameter grows as the parameter does, but for what is added to it."""
    traits, divisor = operation.traits, operation.argument(1, "other")
    if operation.kind == "div" and isinstance(divisor, Ref) and divisor.value in flow.views:
        return False
    if traits.combines == "product":
        return multiplied_by(flow, operation) != 0
    return traits.proportional or traits.combines != "none"


def _given_to_a_layer(flow: Flow, operation: Operation) -> int | None:
    """The parameter of another module that a layer's own weight is applied to: the code of a hypernetwork is a signal.

    So is a fixed tensor, as the distances that a layer makes positions' scores of. Other products of parameters make
    weights: a mask, a low-rank part, a norm of directions, a fixed basis times coefficients.
    """
    given = operation.argument(0, "input")
    if TABLE[operation.kind].combines != "contraction" or not isinstance(given, Ref) or given.value in flow.signals:
        return None
    view, own = flow.views.get(given.value), f"{operation.where}."
    others = [flow.views[value].name for value in operation.inputs if value in flow.views and value != given.value]
    fixed = operation.kind in _LAYERS and _is_fixed(flow, given.value)
    if not (fixed or (view is not None and not view.name.startswith(own))) or not operation.where or not others:
        return None
    layer = all(name.startswith(own) and "." not in name.removeprefix(own) for name in others)
    return given.value if layer else None


def _is_fixed(flow: Flow, value: int) -> bool:
    """Whether a tensor is a constant that has no row for each sample: such may be made of the inputs unseen."""
    known, samples = flow.value(value), {flow.value(item).shape[:1] for item in flow.graph.inputs}
    return known.source == "constant" and known.shape[:1] not in samples


_LAYERS = ("linear", "conv")  # kinds whose first operand is a signal, also where it is a fixed tensor


def _integers(flow: Flow, operation: Operation) -> None:
    """What is computed from token ids or masks alone: numbers again, or (as floats) data; of a mask, its moments."""
    for value in operation.outputs:
        _input(flow, value)
        tensor = held(flow, value) if value in flow.signals else None
        if tensor is not None and tensor.numel() and bool(((tensor == 0) | (tensor == 1)).all()):
            mean = float(doubled(tensor).mean())
            flow.signals[value] = replace(flow.signals[value], second=mean, mean=mean)


def _reads_rows(flow: Flow, operation: Operation) -> bool:
    """Whether a table's rows are read by numbers."""
    given = (operation.argument(*place) for place in operation.traits.rows)
    return any(isinstance(item, Ref) and not flow.value(item.value).dtype.is_floating_point for item in given)


def _picks_weights(flow: Flow, operation: Operation, held: dict[int, ParameterView]) -> bool:
    """Whether numbers that the model makes, as a router's, pick matrices of a stack, as experts are held in."""
    signals = [value for value in operation.inputs if value in flow.signals]
    made = all(not flow.value(value).dtype.is_floating_point and value not in flow.numbers for value in signals)
    stacks = all(sum(size != 1 for size in view.shape) > 2 for view in held.values())
    return made and stacks and len(held) == 1 and _reads_rows(flow, operation)


def _apply(flow: Flow, operation: Operation, held: dict[int, ParameterView], found: Found) -> None:
    op = TABLE[operation.kind]
    shapes = {value: flow.value(value).shape for value in operation.inputs}
    uses = op.weights(operation, held, shapes) if held and op.weights is not None else None
    if op.layer is not None:
        _parts(flow, operation, op.layer, found)
        signals = ruled(flow, operation)
    elif uses is not None and any(use.role in ("weight", "embedding") for use in uses):
        signals = _weighted(flow, operation, uses)
    elif held and uses is None:
        signals = with_parameter(flow, operation, held, found)
    else:
        signals = ruled(flow, operation)
    for use in uses or ():
        _note(flow, operation, use, found)
        if use.role == "norm_weight":
            signals = [times_scale(flow, use.view, signal) for signal in signals]
        if use.role == "norm_bias":
            signals = [shifted_by(flow, use.view, signal) for signal in signals]
    signals = [signal if _is_a_size(signal) else flow.unsure(operation, _BEYOND) for signal in signals]
    flow.signals.update(zip(operation.outputs, signals, strict=False))


def _is_a_size(signal: Signal) -> bool:
    """Whether a signal's moments, where they are known, can be counted on with."""
    return all(number is None or abs(number) < _LARGEST for number in (signal.second, signal.mean))


def _note(flow: Flow, operation: Operation, use: WeightUse, found: Found) -> None:
    feeds = None
    if use.role == "weight" and use.geometry is None and not use.view.exact and len(use.view.whole) < 2:
        use = replace(use, role="other")  # a vector that went into what is multiplied: a norm's scale of fixed numbers
    if use.role == "bias" and not use.view.proportional:
        use = replace(use, role="other")
    if use.role == "weight":
        feeds = feed_of(flow, None if use.signal is None else flow.signals.get(use.signal))
        feeds = _times(flow, feeds, use.beside)
        seen = TABLE[operation.kind].seen
        feeds = feeds if seen is None else replace(feeds, seen=seen(flow, operation))
    geometry = use.geometry
    if use.role in ("bias", "norm_weight", "norm_bias"):
        geometry = vector(use.view.whole, use.role)
    output = operation.outputs[0] if operation.outputs else None
    made = Use(operation, use.role, feeds, geometry, output, use.view.exact, use.view.scaled, use.view.places)
    found.add(use.view.name, made, use.view)
    for part in use.view.parts:
        found.add(part.name, replace(made, geometry=geometry_of_part(part, use.view.whole, geometry)))
    for name in use.view.others:
        found.add(name, replace(made, role="other", geometry=None, exact=False))


def _times(flow: Flow, feed: Feed, value: int | None) -> Feed:
    """What arrives where each number is multiplied by one of another signal, as in x₁ᵀ W x₂."""
    signal = None if value is None else flow.signals.get(value)
    if signal is None or feed.second_moment is None:
        return feed
    second = settled(flow, signal).second
    return replace(feed, second_moment=None if second is None else feed.second_moment * second)


def _weighted(flow: Flow, operation: Operation, uses: list[WeightUse]) -> list[Signal]:
    """What a weight makes has second moment one, or the size that it is to have: that is what its law is chosen for.

    Beside padding it is smaller by the taps that see the signal where its law is fixed, so that nothing makes up for
    that. Of zeros that the model makes it is zero.
    """
    name, role = next((use.view.name, use.role) for use in uses if use.role in ("weight", "embedding"))
    applied = next((use.signal for use in uses if use.role == "weight"), None)
    source = None if applied is None else flow.signals.get(applied)
    label = "embedding" if role == "embedding" else "linear"
    made = flow.fresh(operation, _size(flow, operation, name, source), 0.0, role, label)
    alike = _equal_rows(flow, operation) if source is None else source.common  # a shared mean reaches every feature
    fixed = alike if source is None else source.everywhere
    together = TABLE[operation.kind].together
    both = 1.0 if together is None or not alike else together(flow, operation)
    then = TABLE[operation.kind].then
    made = made if then is None else then(flow, operation, made)
    if source is not None and (rows := filled_rows(flow, operation, source)) is not None:
        flow.filled |= dict.fromkeys(operation.outputs, rows)
    made = made.but(alike=alike * both, fixed=fixed * both)
    for use in uses:
        made = shifted_by(flow, use.view, made) if use.role == "bias" else made
    return [made.but(root=value, head=value, region=value) for value in operation.outputs]


def _size(flow: Flow, operation: Operation, name: str, source: Signal | None) -> float:
    """The second moment of what a weight makes."""
    size = flow.graph.sizes.get(name, 1.0) * flow.lessened.get(name, 1.0)
    if source is not None and source.source == "data" and source.second == 0:
        return 0.0
    seen = TABLE[operation.kind].seen
    return size if seen is None or name not in flow.graph.bounded else size * seen(flow, operation)


def _equal_rows(flow: Flow, operation: Operation) -> float:
    """The share of pairs of places that read one row of a table, where the numbers of the rows are fixed."""
    given = (operation.argument(*place) for place in operation.traits.rows)
    rows = [held(flow, item.value) for item in given if isinstance(item, Ref)]
    if not rows or rows[0] is None or rows[0].is_floating_point() or rows[0].numel() < 2:
        return 0.0
    counts = doubled(torch.bincount(rows[0].flatten().clamp(min=0)))
    return float((counts * (counts - 1)).sum() / (counts.sum() * (counts.sum() - 1)))


def _parts(flow: Flow, operation: Operation, part: Part, found: Found) -> None:
    carried = flow.carried(operation)
    source = carried[0][1] if carried else None
    for name in operation.parameters:
        role, feeds = part(flow, operation, name, source)
        found.add(name, Use(operation, role, feeds, None, operation.outputs[0] if operation.outputs else None))
