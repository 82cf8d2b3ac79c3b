"""A start that is deliberate: what a parameter's values and its use say of what its author meant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import nn

from initlab.graph import Operation, SignalGraph
from initlab.graph.once import once
from initlab.planning.defaults.frequencies import turns_of
from initlab.planning.memory.shards import is_split, readable
from initlab.planning.memory.values import (
    LEAST,
    chosen,
    constant_and_largest,
    first_of,
    is_made,
    is_next_to_nothing,
    is_off_zero,
    is_one_number,
    is_rotation,
    is_triangular,
    is_zero,
    made,
)
from initlab.planning.memory.zeros import all_zero
from initlab.planning.parameters.noted import noted, used
from initlab.planning.parameters.residual import last_norms, projections
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.signals.alone import adds_back_what, evaluated, steps_of
from initlab.planning.signals.picked import is_picked
from initlab.planning.signals.readers import is_head, is_last
from initlab.planning.sizes.couplings import couplings

CANDIDATES = (1.0, 0.0, math.log(math.expm1(1.0)), -1.0)  # a scale's parameter, as `identity_value` tries them

Question = Callable[[torch.Tensor], bool]


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
    if tensor.numel() > 1 or not LEAST < abs(value) < 1 / LEAST or value in (1.0, identity):
        return ""
    return f"one factor, {value:.4g}"


def _closed(subject: Subject) -> str:
    """Why a norm's scale of zeros is so on purpose; "" where it may be memory that nobody wrote."""
    zeros, count = _counted(subject.scene, is_zero, "norm_weight")
    if 2 * zeros < count:
        return "zeros, which the other norms have not: it closes a branch"
    if zeros < count and subject.name in last_norms(subject.scene):
        return "zeros at the end of a branch, which others of the norms have not: it closes one"
    return ""


@once
def _counted(scene: Scene, is_so: Question, *roles: str) -> tuple[int, int]:
    """(of how many parameters in these roles the values are so, how many there are)."""
    asked = [subject.slot for subject in scene.subjects() if subject.role in roles]
    return sum(slot.told(is_so) for slot in asked), len(asked)


def adds_back(subject: Subject) -> bool:
    """Whether a parameter w is used as h + h·w."""
    graph = subject.scene.graph
    if graph is None:
        return False
    steps, last = steps_of(graph, subject.value)
    return last is not None and adds_back_what(graph, last, steps)


def zero_on_purpose(subject: Subject) -> bool:
    """Whether a matrix of zeros is so on purpose: the other matrices of its model are not.

    Of one that ends a branch, reads out or moves the data, it is those that do neither: where each branch ends in
    zeros, half are.
    """
    last = _last_of_its_way(subject) and subject.slot.told(is_zero)
    return _stands_out(subject, is_zero) or (last and _begins_without_zeros(subject.scene))


@once
def _begins_without_zeros(scene: Scene) -> bool:
    """Whether fewer than half of the matrices that do not come last are zero."""
    within = [s.slot for s in scene.subjects() if s.role == "weight" and not _last_of_its_way(s)]
    return 2 * sum(weight.told(is_zero) for weight in within) < len(within)


@noted
def _last_of_its_way(scene: Scene) -> frozenset[str]:
    assert scene.graph is not None
    applied = {s.name: [use.operation for use in s.uses if use.role == "weight"] for s in scene.subjects()}
    moving = couplings(scene.graph, {name: uses for name, uses in applied.items() if uses})
    return projections(scene).names | used(scene, is_head) | moving


def made_on_purpose(subject: Subject) -> str:
    """How a weight's author made its values, where the other weights of its model are not made so; else ""."""
    return subject.slot.told(made) if _stands_out(subject, is_made) else ""


def rotation_on_purpose(subject: Subject) -> bool:
    """Whether a matrix turns its input on purpose, as a flow's that must be inverted does (Kingma & Dhariwal, 2018).

    One that is applied again and again, as a recurrence's is, begins so under many a scheme. Its determinant may be
    asked for beside.
    """
    applied = sum(use.role == "weight" for use in subject.uses)
    return applied == 1 and _stands_out(subject, is_rotation)


def triangular_on_purpose(subject: Subject) -> bool:
    """Whether a matrix is a triangular factor of one that its author composed (Kingma & Dhariwal, 2018, eq. 10)."""
    return _stands_out(subject, is_triangular)


def around_a_number(subject: Subject) -> bool:
    """Whether a matrix lies around a number other than zero and makes a scale: variances (Blundell, 2015).

    A matrix that is made positive to be used as a weight is drawn around zero, or from zero on. So it is where the pass
    does not use it: scales of the noise that layers add while they train.
    """
    graph, tensor = subject.scene.graph, subject.slot.tensor
    if graph is None or not readable(tensor) or not tensor.is_floating_point() or tensor.numel() < 2:
        return False
    if subject.uses and not any(step.traits.positive for step in steps_of(graph, subject.value)[0]):
        return False
    return subject.slot.told(is_off_zero)


def _stands_out(subject: Subject, is_so: Question) -> bool:
    """Whether a matrix is of a kind that fewer than half of the matrices of its model are."""
    if subject.scene.graph is None or not subject.slot.told(is_so):
        return False
    found, count = _counted(subject.scene, is_so, "weight")
    return 2 * found < count


def zero_table(subject: Subject) -> bool:
    """Whether an embedding layer's table of zeros is so on purpose: at least half of all matrices are not zero."""
    if subject.scene.graph is None or not subject.slot.told(is_zero):
        return False
    zeros, count = _counted(subject.scene, is_zero, "weight", "embedding")
    return 2 * zeros <= count


def table_of_zeros(subject: Subject) -> bool:
    """Whether a table of zeros is read by number outside an embedding layer, as biases of experts and positions are."""
    return not isinstance(subject.module, nn.Embedding | nn.EmbeddingBag) and subject.slot.told(is_zero)


def special_bias(subject: Subject) -> str:
    """Why a bias is special whose values are not what a layer draws by default and whose use says why; else ""."""
    graph, tensor = subject.scene.graph, subject.slot.tensor
    if graph is None or not readable(tensor) or not tensor.is_floating_point() or subject.slot.told(all_zero):
        return ""
    constant, largest = subject.slot.told(constant_and_largest)
    fan = None if subject.geometry is None else subject.geometry.native_fan_in
    usual = 1.001 / math.sqrt(fan) if fan else 0.0
    if numbers := subject.slot.told(made) or (fan is None and subject.role == "bias" and subject.slot.told(chosen)):
        return f"{numbers} that no layer draws"
    constant = constant and tensor.numel() > 1
    if not constant and largest <= usual:
        return ""
    if any(zero_on_purpose(other) for other in _by_layer(subject.scene, "weight").get(id(subject.module), ())):
        return "a special bias beside a weight of zeros, which leaves its layer nothing else to give"
    answers = any(is_last(graph, use.operation) or is_picked(graph, use.operation) for use in subject.uses)
    if constant and answers and not _is_usual(subject):
        return "a bias of what the model answers, such as the share of each class (Lin et al., 2017, section 4.1)"
    if subject.uses and all(turns_of(graph, use.operation) for use in subject.uses):
        return "the phases of sines"
    opened = next(filter(None, (_opens(graph, use.operation, constant) for use in subject.uses)), "")
    return f"a special bias before {opened}" if opened else ""


def special_gates(subject: Subject) -> str:
    """Which gates of a recurrent layer's bias hold numbers that their author chose, as a forget gate's; else ""."""
    tensor, geometry = subject.slot.tensor, subject.geometry
    packing = None if geometry is None else geometry.packing
    if packing is None or geometry is None or not readable(tensor) or not tensor.is_floating_point():
        return ""
    if is_split(tensor) or subject.slot.told(is_one_number):
        return ""
    usual = 1.001 / math.sqrt(geometry.native_fan_in or math.inf)
    parts = zip(packing.labels, torch.split(tensor.detach(), list(packing.sizes), packing.axis), strict=True)
    found = {label: chosen(part) for label, part in parts if float(part.abs().max()) > usual}
    return ", ".join(f"the {label} gate's {numbers.rstrip(',')}" for label, numbers in found.items() if numbers)


def adds_little_to_its_bias(subject: Subject) -> bool:
    """Whether a weight is next to nothing beside a special bias, which says what its layer gives at first.

    An identity beside which a warp begins (Jaderberg et al., Spatial transformer networks, 2015, section 3.3), ones
    that a gate begins with (Liu et al., Pay attention to MLPs, 2021, section 2.1).
    """
    if not _stands_out(subject, is_next_to_nothing):
        return False
    applied = {use.operation.index for use in subject.uses}
    made_of_it = {value for use in subject.uses for value in use.operation.outputs}
    beside = (
        bias for bias in _by_layer(subject.scene, "bias").get(id(subject.module), ())
        if any(u.operation.index in applied or not made_of_it.isdisjoint(u.operation.inputs) for u in bias.uses)
    )  # fmt: skip
    return any(map(special_bias, beside))


def _is_usual(subject: Subject) -> bool:
    """Whether half of the biases of a model or more begin with the number that a bias begins with."""
    found = _first_of_biases(subject.scene)
    return 2 * found[subject.slot.told(first_of)] >= max(found.total(), 2)


@once
def _first_of_biases(scene: Scene) -> Counter[float]:
    """How many biases begin with each number."""
    biases = [s.slot for s in scene.subjects() if s.role == "bias" and readable(s.slot.tensor)]
    return Counter(bias.told(first_of) for bias in biases)


@once
def _by_layer(scene: Scene, role: str) -> dict[int, list[Subject]]:
    """The parameters of a role that each layer holds, by its id."""
    found: dict[int, list[Subject]] = {}
    for subject in scene.subjects():
        if subject.role == role:
            found.setdefault(id(subject.module), []).append(subject)
    return found


def _opens(graph: SignalGraph, operation: Operation, scales: bool) -> str:
    """The first gate that reads an operation's output past sums and rearrangements; "" where none does.

    Args:
        graph: the recorded pass.
        operation: what makes the gate's input.
        scales: whether the factor of another signal is a gate too.
    """
    queue, seen = list(operation.outputs), set(operation.outputs)
    while queue and len(seen) < 64:
        for reader in graph.consumers(queue.pop()):  # along one way to its end: each step of a loop is a way
            if reader.traits.opens:
                return reader.kind
            if scales and reader.kind == "mul" and _two_signals(graph, reader):
                return "a product, a factor of another signal"
            if reader.traits.passes or reader.traits.keeps == "pieces" or reader.traits.combines == "sum":
                queue.extend(value for value in reader.outputs if value not in seen)
                seen.update(reader.outputs)
    return ""


def _two_signals(graph: SignalGraph, product: Operation) -> bool:
    return len(set(graph.signals(product))) > 1


def use_in_words(subject: Subject) -> str:
    """What a parameter does in the recording; "" without one."""
    graph = subject.scene.graph
    if graph is None:
        return ""
    steps, last = steps_of(graph, subject.value)
    if not subject.uses:
        entered = last or (steps[-1] if steps else None)
        return "it is not used in the recorded pass" if entered is None else f"it enters {entered.kind}"
    through = ", ".join(step.kind for step in steps if not step.traits.passes)
    operation = subject.uses[0].operation
    where = f" at {operation.module}" if operation.module else ""
    return f"it enters {operation.kind}{where}" + (f" through {through}" if through else "")
