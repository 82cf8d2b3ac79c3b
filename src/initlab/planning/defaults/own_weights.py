"""Matrices and tables whose start is deliberate, told by their values and by those of the others."""

from __future__ import annotations

from torch import nn

from initlab.graph.ancestry import from_trained
from initlab.graph.once import once
from initlab.planning.defaults.counted import counted, stands_out
from initlab.planning.memory.shards import readable
from initlab.planning.memory.values import (
    is_made,
    is_next_to_nothing,
    is_off_zero,
    is_rotation,
    is_triangular,
    is_zero,
    made,
)
from initlab.planning.parameters.noted import noted, used
from initlab.planning.parameters.residual import projections
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.signals.alone import steps_of
from initlab.planning.signals.readers import is_head
from initlab.planning.sizes.couplings import couplings


def zero_on_purpose(subject: Subject) -> bool:
    """Whether a matrix of zeros is so on purpose: the other matrices of its model are not.

    Of one that ends a branch, reads out or moves the data, it is those that do neither: where each branch ends in
    zeros, half are.
    """
    last = _last_of_its_way(subject) and subject.slot.told(is_zero)
    return stands_out(subject, is_zero) or (last and _begins_without_zeros(subject.scene))


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


def reads_out_next_to_nothing(subject: Subject) -> bool:
    """Whether a read-out is so on purpose: the other matrices of its model are not.

    A policy's, whose first actions hang on nothing that it sees (Andrychowicz et al., What matters in on-policy
    reinforcement learning?, 2021, section 3.2; Lillicrap et al., DDPG, 2016, section 7, which draws U(±3·10⁻³)).
    """
    return stands_out(subject, is_next_to_nothing) and _reads_out(subject)


@noted
def _reads_out(scene: Scene) -> frozenset[str]:
    return used(scene, is_head)


def made_on_purpose(subject: Subject) -> str:
    """How a weight's author made its values, where the other weights of its model are not made so; else ""."""
    return subject.slot.told(made) if stands_out(subject, is_made) else ""


def rotation_on_purpose(subject: Subject) -> bool:
    """Whether a matrix turns its input on purpose, as a flow's that must be inverted does (Kingma & Dhariwal, 2018).

    One that is applied again and again, as a recurrence's is, begins so under many a scheme. Its determinant may be
    asked for beside.
    """
    applied = sum(use.role == "weight" for use in subject.uses)
    return applied == 1 and stands_out(subject, is_rotation)


def triangular_on_purpose(subject: Subject) -> bool:
    """Whether a matrix is a triangular factor of one that its author composed (Kingma & Dhariwal, 2018, eq. 10)."""
    return stands_out(subject, is_triangular)


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


def zero_table(subject: Subject) -> bool:
    """Whether an embedding layer's table of zeros is so on purpose: at least half of all matrices are not zero."""
    if subject.scene.graph is None or not subject.slot.told(is_zero):
        return False
    zeros, count = counted(subject.scene, is_zero, "weight", "embedding")
    return 2 * zeros <= count


def table_of_zeros(subject: Subject) -> bool:
    """Whether a table of zeros is read by number outside an embedding layer, as biases of experts and positions are."""
    if isinstance(subject.module, nn.Embedding | nn.EmbeddingBag):
        return False
    return subject.slot.told(is_zero) or (not readable(subject.slot.tensor) and _shifts_experts(subject))


def _shifts_experts(subject: Subject) -> bool:
    """Whether rows are read by numbers that weights make, as a router's, and are added: a bias for each expert."""
    graph = subject.scene.graph
    if graph is None or not subject.uses:
        return False
    trained = from_trained(graph)
    return all(
        any(v in trained and graph.producer(v) is not None for v in use.operation.inputs)
        and all(reader.traits.combines == "sum" for v in use.operation.outputs for reader in graph.consumers(v))
        for use in subject.uses
    )
