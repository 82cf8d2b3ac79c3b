"""Numbers that stand beside a signal in what a model computes."""

from __future__ import annotations

from itertools import islice
from typing import Any

from initlab.graph import Operation, SignalGraph
from initlab.graph.operations.arithmetic import factor_with
from initlab.graph.recording import Ref
from initlab.graph.replay import call
from initlab.guest.doubles import doubled
from initlab.planning.memory.shards import readable
from initlab.planning.memory.values import LEAST
from initlab.planning.signals.ways import read_alone

STEPS = 8  # operations that a number is followed through


def factor_beside(graph: SignalGraph, operation: Operation, scales: bool = True) -> float | None:
    """What a product or quotient with one number multiplies a signal by; None for zero and for anything else.

    Args:
        graph: the recording.
        operation: the product, or the quotient of a signal and a number.
        scales: whether a parameter counts as a number, by its root mean square.
    """
    operands = (operation.argument(0, "input"), operation.argument(1, "other"))
    return factor_with(operation.kind, operands, lambda item: _number(graph, item, scales)) or None


def _number(graph: SignalGraph, item: Any, scales: bool) -> float | None:
    """A number that is given as one, as a constant of one element, or as a scale by its root mean square."""
    if isinstance(item, Ref):
        known = graph.values[item.value]
        if known.source != "constant":
            return _scale(graph, item.value) if scales else None
        return float(known.tensor) if known.tensor is not None and known.tensor.numel() == 1 else None
    if isinstance(item, complex):
        return abs(item)
    return float(item) if isinstance(item, int | float) and not isinstance(item, bool) else None


def _scale(graph: SignalGraph, value: int) -> float | None:
    """The root mean square of a parameter of at most one axis, or of what functions of one number make of it.

    None of anything else, and of zero; one element keeps its sign.
    """
    steps: list[Operation] = []
    while (maker := graph.producer(value)) is not None:
        if len(set(maker.inputs)) != 1 or len(maker.outputs) != 1 or maker.function is None or len(steps) > STEPS:
            return None
        steps.append(maker)
        value = maker.inputs[0]
    known = graph.values[value]
    if known.source != "parameter" or known.tensor is None or sum(side > 1 for side in known.shape) > 1:
        return None
    if not readable(known.tensor):
        return None
    made, at = known.tensor.detach(), value
    for step in reversed(steps):
        made = call(step, {at: made}.__getitem__)
        at = step.outputs[0]
    if made.numel() == 1:
        return float(made) or None
    size = float(doubled(made).square().mean().sqrt())
    return size if LEAST < size < 1 / LEAST else None


def inner_factor(graph: SignalGraph, use: Operation) -> float:
    """The largest constant in φ(c·y) where functions φ that are bounded or curved alone read y; 1 where there is none.

    A constant between one half and one is part of the function's form: 1.7159·tanh(⅔·y) is made for y of unit size
    (LeCun et al., Efficient backprop, 1998, section 4.4). A wave or a window may be written out: exp(iω·y − (s·y)²).
    """
    stack, found = [(use.outputs[0], 1.0, 0)], 0.0
    while stack:
        value, factor, steps = stack.pop()
        if graph.leaves(value) or steps >= STEPS:
            return 1.0
        for reader in graph.consumers(value):
            if len(reader.outputs) != 1:
                return 1.0
            if written := wave_or_window(graph, reader):
                found = max(found, abs(factor) * written)
            elif number := factor_beside(graph, reader):
                stack.append((reader.outputs[0], factor * number, steps + 1))
            elif reader.traits.curved:
                found = max(found, abs(factor))
            elif reader.traits.passes or (reader.kind == "add" and reader.parameters):
                stack.append((reader.outputs[0], factor, steps + 1))
            else:
                return 1.0
    return 1.0 if not found or 0.5 <= found <= 1 else found


def wave_or_window(graph: SignalGraph, operation: Operation) -> float:
    """The constant in what begins a written-out function of one number: ω of exp(iωy), s of a window; 0 of all else.

    Windows are functions of |y| or y² that fall: exp(−(sy)²), exp(−|sy|), 1/(1 + (sy)²).

    Source: Ramasinghe & Lucey, Beyond periodicity, 2022, table 1; Saragadam et al., WIRE, 2023, equation 4.
    """
    power, within = _even_power(operation), 1.0
    if any(isinstance(operand, complex) and operand.imag for operand in operation.args):
        power, within = 1.0, factor_beside(graph, operation) or 0.0
    for _, reader in islice(read_alone(graph, operation.outputs[0]), STEPS if power and within else 0):
        if reader.kind == "exp" or reader.traits.degree < 0:
            return float(within ** (1 / power))
        if number := factor_beside(graph, reader):
            within *= abs(number)
        elif even := _even_power(reader):
            power, within = power * even, within**even
        elif not (reader.traits.pointwise and (reader.traits.linear or reader.traits.combines == "sum")):
            return 0.0
    return 0.0


def _even_power(operation: Operation) -> float:
    """p of an operation that gives |y|^p, one number for each; 0 of all else."""
    alike = operation.traits.combines == "product" and len(operation.inputs) == 2 and len(set(operation.inputs)) == 1
    if alike or (operation.kind == "pow" and operation.argument(1, "exponent") == 2):
        return 2.0
    return operation.traits.degree if operation.traits.even and operation.traits.pointwise else 0.0


def multiplied_by(graph: SignalGraph, use: Operation) -> float:
    """The constant that an operation's output is multiplied by before anything else reads it."""
    factor = 1.0
    for _, reader in read_alone(graph, use.outputs[0]):
        if len(reader.outputs) != 1:
            break
        if number := factor_beside(graph, reader):
            factor *= number
        elif not reader.traits.rearranges:
            break
    return abs(factor)
