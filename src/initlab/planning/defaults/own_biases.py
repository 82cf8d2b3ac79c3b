"""Biases whose start is deliberate, told by their values and by what reads them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import torch

from initlab.graph import Operation, SignalGraph
from initlab.graph.once import once
from initlab.planning.defaults.counted import stands_out
from initlab.planning.defaults.frequencies import turns_of
from initlab.planning.defaults.own_weights import zero_on_purpose
from initlab.planning.memory.shards import is_split, readable
from initlab.planning.memory.values import (
    chosen,
    constant_and_largest,
    first_of,
    is_next_to_nothing,
    is_one_number,
    made,
)
from initlab.planning.memory.zeros import all_zero
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.signals.picked import is_picked
from initlab.planning.signals.readers import is_last


def special_bias(subject: Subject) -> str:
    """Why a bias is special whose values are not what a layer draws by default and whose use says why; else ""."""
    graph, tensor = subject.scene.graph, subject.slot.tensor
    if graph is None or not tensor.is_floating_point():
        return ""
    if not readable(tensor):
        return "what steps begin at, which cannot be read here" if _makes_steps(subject, graph) else ""
    if subject.slot.told(all_zero):
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


def _makes_steps(subject: Subject, graph: SignalGraph) -> bool:
    """Whether softplus makes steps of what a bias is added to, which multiply signals and begin small on purpose.

    Mamba's begin in [0.001, 0.1] (Gu & Dao, 2023, section 3.6).
    """
    gates = [next((r for r in _readers(graph, use.operation) if r.traits.opens), None) for use in subject.uses]
    return bool(gates) and all(
        gate is not None and gate.kind == "softplus" and any(_scales(graph, reader) for reader in _readers(graph, gate))
        for gate in gates
    )


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
    if not stands_out(subject, is_next_to_nothing):
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
    for reader in _readers(graph, operation):
        if reader.traits.opens:
            return reader.kind
        if scales and _scales(graph, reader):
            return "a product, a factor of another signal"
    return ""


def _readers(graph: SignalGraph, operation: Operation) -> Iterator[Operation]:
    """What reads an operation's output past sums and rearrangements, along one way to its end."""
    queue, seen = list(operation.outputs), set(operation.outputs)
    while queue and len(seen) < 64:
        for reader in graph.consumers(queue.pop()):  # each step of a loop is a way
            yield reader
            if reader.traits.passes or reader.traits.keeps == "pieces" or reader.traits.combines == "sum":
                queue.extend(value for value in reader.outputs if value not in seen)
                seen.update(reader.outputs)


def _scales(graph: SignalGraph, operation: Operation) -> bool:
    """Whether it is a product of several signals."""
    return operation.kind == "mul" and len(set(graph.signals(operation))) > 1
