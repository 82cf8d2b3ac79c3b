"""Scales: the value with which one changes nothing, and starts that their author meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import chain

from initlab.graph import Operation
from initlab.planning.defaults.counted import counted
from initlab.planning.memory.shards import readable
from initlab.planning.memory.values import (
    LEAST,
    first_of,
    is_one_number,
    is_zero,
)
from initlab.planning.memory.zeros import all_zero
from initlab.planning.parameters.residual import last_norms
from initlab.planning.parameters.scene import Subject
from initlab.planning.signals.alone import adds_back_what, evaluated, steps_of

CANDIDATES = (1.0, 0.0, math.log(math.expm1(1.0)), -1.0)  # a scale's parameter, as `identity_value` tries them


def identity_value(subject: Subject) -> float:
    """The value of a scale's parameter with which the scale is 1: 1 for w, 0 for 1 + w or exp(w), softplus⁻¹(1) else.

    Behind a number of its author's own (w·√d, w/8) it is the one that the author's start has, where that gives 1.

    Args:
        subject: a parameter that multiplies a signal, after functions of itself alone; without a recording it is w.
    """
    graph = subject.scene.graph
    if graph is None:
        return 1.0
    steps, last = steps_of(graph, subject.value)
    added = last is not None and adds_back_what(graph, last, steps)
    for value in chain(CANDIDATES, _made_with(subject)):
        made = evaluated(graph, steps, value)
        if made is not None and abs(made + added - 1) < 1e-4:
            return value
    return 1.0


def _made_with(subject: Subject) -> Iterator[float]:
    """The number that all of a parameter's values are, where they are one."""
    tensor = subject.slot.tensor
    if readable(tensor) and tensor.is_floating_point() and subject.slot.told(is_one_number):
        yield subject.slot.told(first_of)


def own_function(subject: Subject) -> tuple[Callable[[float], float] | None, Operation | None]:
    """What a parameter goes through alone, as a function of one number, if it goes through any, and what reads it."""
    graph = subject.scene.graph
    if graph is None:
        return None, None
    steps, last = steps_of(graph, subject.value)
    if not any(step.traits.pointwise for step in steps) or not all(
        s.traits.pointwise or s.traits.passes for s in steps
    ):
        return None, last

    def function(value: float) -> float:
        made = evaluated(graph, steps, value)
        return math.nan if made is None else made

    return function, last


def special_scale(subject: Subject, identity: float) -> str:
    """How a scale was set on purpose: zeros that no other norm of its model has, or one factor of its own; else "".

    Args:
        subject: the scale of a norm.
        identity: the value with which it changes nothing.
    """
    tensor = subject.slot.tensor
    if subject.scene.graph is None or not readable(tensor) or not tensor.is_floating_point():
        return ""
    if subject.slot.told(all_zero):
        return _closed(subject) if identity else ""
    value = subject.slot.told(first_of)
    if tensor.numel() > 1 or not LEAST < abs(value) < 1 / LEAST or value == identity:
        return ""
    return f"one factor, {value:.4g}"


def _closed(subject: Subject) -> str:
    """Why a norm's scale of zeros is so on purpose; "" where it may be memory that nobody wrote."""
    zeros, count = counted(subject.scene, is_zero, "norm_weight")
    if 2 * zeros < count:
        return "zeros, which the other norms have not: it closes a branch"
    if zeros < count and subject.name in last_norms(subject.scene):
        return "zeros at the end of a branch, which others of the norms have not: it closes one"
    return ""


def adds_back(subject: Subject) -> bool:
    """Whether a parameter w is used as h + h·w."""
    graph = subject.scene.graph
    if graph is None:
        return False
    steps, last = steps_of(graph, subject.value)
    return last is not None and adds_back_what(graph, last, steps)
