"""The bias with which a state begins to be remembered: its forget gate's, among gates that one bias holds.

A gate forgets where what it multiplies is added to, and the sum is multiplied by the same gate again: c ← f·c + i·g. Of
convex sums, h ← f·h + (1 − f)·u, it is not told which of the two is to be forgotten.

Source: Gers, Schmidhuber & Cummins, Learning to forget, 2000; Jozefowicz, Zaremba & Sutskever, An empirical exploration
of recurrent network architectures, 2015, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from initlab.errors import InputError, finite_number
from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import grew_from, passed
from initlab.graph.once import once
from initlab.graph.rows import units_at
from initlab.planning.defaults.of_units import OfUnits, Units
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.signals.ways import readings
from initlab.sampling import laws
from initlab.schemes import Geometry, Scheme

STEPS = 3  # of a loop that are looked at: a bias that is added to what reads a state of zeros comes in at the second


def _forget_law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    packing = geometry.packing
    if packing is None or "forget" not in packing.labels:
        raise InputError(f"forget_gate needs packed LSTM gates; got a tensor of shape {geometry.shape}")
    values = [arguments["forget"] if label == "forget" else 0.0 for label in packing.labels]
    return laws.Stacked(packing.axis, packing.sizes, tuple(laws.Constant(value) for value in values), packing.labels)


def forget_scheme(forget: float, axis: int = 0, units: Units = frozenset()) -> Scheme:
    """The scheme of a bias that holds gates: `forget` for the forget gate, zero for the others.

    Args:
        forget: the number.
        axis: along which the units lie.
        units: the forget gate's; none where the packing of the bias names them.
    """
    scheme = Scheme(
        name="forget_gate",
        formula="b = forget for the forget gate, 0 for the other gates",
        latex=r"b_f = c, \quad b_i = b_g = b_o = 0",
        keeps="The cell state: σ(1) = 0.73 of it passes at the first step, where σ(0) would halve it.",
        why="The state after t steps is Π σ(b_f) of what went in: 0.5^t with a zero bias, 0.73^t with one.",
        source="Gers, Schmidhuber & Cummins, Learning to forget; Jozefowicz, Zaremba & Sutskever (2015), section 2",
        year=2000,
        suits=(),
        misuse="A large value keeps everything: the cell cannot forget until the bias has been unlearned.",
        arguments={"forget": forget},
        rule=_forget_law,
        checks={"forget": finite_number},
        uses="values",
    )
    return replace(scheme, rule=OfUnits(axis, units, "forget")) if units else scheme


def forgets(subject: Subject) -> Units:
    """The units of a bias that a state's forget gate reads; of two biases of one gate the first alone has them."""
    return Units() if subject.scene.graph is None else _forgetting(subject.scene).get(subject.name, Units())


@once
def _forgetting(scene: Scene) -> dict[str, Units]:
    assert scene.graph is not None
    found, taken = dict[str, Units](), set[int]()
    closing = {made for operation in scene.graph.operations if _is_gate(operation) for made in operation.outputs}
    if not any(_keeps_a_state(scene.graph, gate, closing) for gate in closing):
        return found
    for subject in scene.subjects():
        if subject.role != "bias" or subject.geometry is None or sum(size > 1 for size in subject.shape) != 1:
            continue
        gates = _gates(scene.graph, subject)
        alike = {gate: {other for other, units in gates.items() if units == gates[gate]} for gate in gates}
        forget = [gate for gate in gates if _keeps_a_state(scene.graph, gate, alike[gate])]
        if forget and taken.isdisjoint(forget):
            found[subject.name] = Units().union(*(gates[gate] for gate in forget))
        taken.update(forget)
    return found


def _gates(graph: SignalGraph, subject: Subject) -> dict[int, Units]:
    """What sigmoids make of a bias's units at its first uses -> which of them those are."""
    found: dict[int, Units] = {}
    assert subject.geometry is not None
    axis = max(range(len(subject.shape)), key=subject.shape.__getitem__)
    line = replace(subject.geometry, shape=(subject.shape[axis],), out_axis=0)
    for use in [use for use in subject.uses if use.role == "bias"][:STEPS]:
        for value, units in units_at(graph, use.operation.outputs[0], line).items():
            for reader in graph.consumers(value):
                if _is_gate(reader):
                    found[reader.outputs[0]] = Units(torch.unique(units).tolist())
    return found


def _is_gate(operation: Operation) -> bool:
    return operation.traits.gate and operation.traits.opens and not operation.traits.positive


def _keeps_a_state(graph: SignalGraph, gate: int, alike: set[int]) -> bool:
    """Whether what a gate multiplies is added to what is not the gate's, and the sum is multiplied by it again.

    Args:
        graph: the recording.
        gate: what a sigmoid made.
        alike: the gate at this step and at others.
    """
    maker = graph.producer(gate)
    own = {gate, *(() if maker is None else maker.inputs)}

    def multiplies(value: int) -> bool:
        return not alike.isdisjoint(passed(graph, value, parts=True))

    for _, product in readings(graph, [gate], lambda _, reader: reader.traits.passes):
        if product.kind != "mul":
            continue
        for summand, addition in readings(graph, product.outputs, lambda _, reader: reader.traits.passes):
            if addition.traits.combines != "sum":
                continue
            others = [item for item in addition.inputs if item != summand]
            if any(item == gate or grew_from(graph, item, own) for item in others):
                continue
            again = readings(graph, addition.outputs, lambda _, reader: reader.traits.passes)
            if any(r.kind == "mul" and any(multiplies(i) for i in r.inputs if i != v) for v, r in again):
                return True
    return False
