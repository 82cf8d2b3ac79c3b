"""Roles: what a parameter is to its model, told from its layer's type and from its use in a recorded pass.

A policy gives its laws to roles. A parameter may hold several (a weight that is the read-out too); of the laws of a
policy the first whose role it holds is its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from initlab.graph import Operation, SignalGraph
from initlab.planning import residual
from initlab.planning.scene import Scene, Subject
from initlab.planning.targets import is_head


@dataclass(frozen=True)
class Role:
    """One role.

    Args:
        about: what a parameter of it is, as words that follow "this".
        holds: whether a parameter has it.
        recorded: whether only a recorded pass can tell.
        detail: what more there is to say of one parameter in it; "" for nothing.
    """

    about: str
    holds: Callable[[Subject], bool]
    recorded: bool = False
    detail: Callable[[Subject], str] = lambda subject: ""


def _is(role: str) -> Callable[[Subject], bool]:
    return lambda subject: subject.role == role


def _ends_branch(subject: Subject) -> bool:
    return subject.role == "weight" and subject.name in residual.projections(subject.scene).names


def _how_many(subject: Subject) -> str:
    ends = residual.projections(subject.scene)
    return f"one of {ends.count}, {ends.how}"


def _last_norm(subject: Subject) -> bool:
    return subject.role == "norm_weight" and subject.name in residual.last_norms(subject.scene)


def _noted(key: str) -> Callable[[Callable[[Scene], frozenset[str]]], Callable[[Subject], bool]]:
    """A role that is read off the recording once for all parameters: (scene) -> their names."""

    def made(names_of: Callable[[Scene], frozenset[str]]) -> Callable[[Subject], bool]:
        def holds(subject: Subject) -> bool:
            notes = subject.scene.notes
            if key not in notes:
                notes[key] = frozenset() if subject.scene.graph is None else names_of(subject.scene)
            return subject.name in notes[key]

        return holds

    return made


def _used(scene: Scene, found: Callable[[SignalGraph, Operation], bool], role: str = "weight") -> frozenset[str]:
    """The parameters of a role of which some use in the recording is as asked."""
    graph = scene.graph
    assert graph is not None
    return frozenset(
        subject.name
        for subject in scene.subjects()
        if any(use.role == role and found(graph, use.operation) for use in subject.all_uses)
    )


@_noted("heads")
def _reads_out(scene: Scene) -> frozenset[str]:
    return _used(scene, is_head)


def _is_head(subject: Subject) -> bool:
    return subject.role == "weight" and _reads_out(subject)


def _is_tied_head(subject: Subject) -> bool:
    return subject.role == "embedding" and (subject.tied_to_output() or _reads_out(subject))


@_noted("routers")
def _routes(scene: Scene) -> frozenset[str]:
    return _used(scene, _chooses)


def _chooses(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output is what an operation ranks: it says where the signal goes."""
    queue, seen = deque(use.outputs), set(use.outputs)
    while queue and len(seen) < 32:
        for reader in graph.consumers(queue.popleft()):
            traits = reader.traits
            if traits.ranks:
                return True
            if traits.rearranges or traits.gate or traits.logits or traits.combines == "sum":
                queue.extend(value for value in reader.outputs if value not in seen)
                seen.update(reader.outputs)
    return False


ROLES: dict[str, Role] = {
    "weight": Role("a weight", _is("weight")),
    "bias": Role("a bias", _is("bias")),
    "norm_weight": Role("the scale of a norm", _is("norm_weight")),
    "norm_bias": Role("the shift of a norm", _is("norm_bias")),
    "embedding": Role("a table that is read by number", _is("embedding")),
    "recurrent_bias": Role("a bias of a recurrent layer", _is("recurrent_bias")),
    "other": Role("a parameter that no layer type explains", _is("other")),
    "branch_end": Role("the last weight of a residual branch", _ends_branch, detail=_how_many),
    "branch_end_norm": Role("the last norm of a residual branch", _last_norm),
    "head": Role("a read-out", _is_head, recorded=True),
    "tied_head": Role("a table that is the read-out too", _is_tied_head),
    "router": Role("a weight that chooses experts", _routes, recorded=True),
}
