"""Roles: what a parameter is to its model, told from its layer's type and from its use in a recorded pass.

A policy gives its laws to roles. A parameter may hold several (a weight that is the read-out too); of the laws of a
policy the first whose role it holds is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from initlab.planning import residual
from initlab.planning.scene import Subject


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
}
