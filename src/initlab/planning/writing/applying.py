"""`model.apply(initlab.init_)`: which model is gone over, and where in it a layer stands that `init_` is given."""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from torch import nn

from initlab.errors import InputError
from initlab.guest.modules import modules_of
from initlab.planning.plan import Plan
from initlab.sampling import canonical_name

_APPLY = nn.Module.apply.__code__
_PLANS = "initlab's plans"  # no name that code can have


@dataclass(frozen=True)
class Applied:
    """A call of `init_` that an `nn.Module.apply` makes.

    Attributes:
        root: the model that is gone over.
        path: the layer's name in it.
        direct: whether `apply` itself calls `init_`, so that it comes to the root too, and last.
        names: the local names of that call of `apply`, with which what is kept there goes.
    """

    root: nn.Module
    path: str
    direct: bool
    names: MutableMapping[str, Any] = field(repr=False)

    def plan(self, policy: Any, made: Callable[[], Plan]) -> Plan:
        """The whole model's plan, made by the first layer of this `apply` that asks for this policy."""
        plans: list[tuple[Any, Plan]] = self.names.setdefault(_PLANS, [])
        found = next((plan for known, plan in plans if known is policy or known == policy), None)
        if found is None:
            found = made()
            plans.append((policy, found))
        return found


def applied_to(layer: Any, depth: int = 3) -> Applied | None:
    """The `apply` that is at work above the caller of `init_`; None where there is none, or the layer is its root.

    Args:
        layer: what `init_` was called on.
        depth: frames between this one and the caller of `init_`.
    """
    frame: FrameType | None = sys._getframe(depth)
    names: MutableMapping[str, Any] = {}
    while frame is not None and frame.f_code is _APPLY:
        names, frame = frame.f_locals, frame.f_back
    if names and names["self"] is not layer:
        return Applied(names["self"], _path(layer, names["self"]) or "", True, names)
    found = None
    while frame is not None:
        if frame.f_code is _APPLY:
            names = frame.f_locals
            path = _path(layer, names["self"])
            found = Applied(names["self"], path, False, names) if path else found
        frame = frame.f_back
    return found


def part_of(whole: Plan, own: Plan, path: str) -> Plan:
    """What a model's plan says of one layer, under the layer's own names.

    Raises:
        InputError: a tensor of the layer that the model holds under another name, which is to be written there.
    """
    known = {entry.name: entry for entry in whole.entries}
    entries = []
    for entry in own.entries:
        there = known.get(f"{path}.{entry.name}")
        if there is None:
            raise InputError(
                f"'{path}.{entry.name}' is tied to another layer: call init_ on the whole model, not on {path!r}"
            )
        entries.append(replace(there, name=entry.name, tied_to=entry.tied_to))
    return replace(own, entries=tuple(entries))


def left_to(applied: Applied, layer: nn.Module) -> Plan:
    """The plan of a layer that is written with the model that holds it: it holds nothing."""
    note = f"written with {type(applied.root).__name__} as a whole, when apply comes to it"
    return Plan((), (), "left to the whole model", type(layer).__name__, (note,))


def _path(layer: Any, root: nn.Module) -> str | None:
    found = modules_of(root).get(id(layer))
    return None if found is None else canonical_name(found[0])
