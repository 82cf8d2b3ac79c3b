"""How large what each weight makes is at the start, beside the size that its place in the model asks for."""

from __future__ import annotations

from typing import Any

import torch

import initlab
from initlab.graph import record
from initlab.planning.plan import Plan
from initlab.planning.sizes.survey import targets_of


def second_moments(twin: torch.nn.Module, plan: Plan, inputs: Any) -> dict[str, float]:
    """By weight, the second moment of what it makes over what it should be.

    Read-outs, factors of outputs, gates, branch ends and positions are left out: each has a share of something, not a
    size.
    """
    entries = {entry.name: entry for entry in plan.entries}
    owner = {name: entry.name for entry in plan.entries for name in (entry.name, *entry.tied_to)}
    targets = targets_of(record(twin, inputs), entries, owner)
    left = targets.heads | targets.gates | targets.ends | targets.positions | targets.shares | targets.on_scores
    left |= {entry.name for entry in plan.entries if "scores that are products" in entry.reason}
    found: dict[str, float] = {}
    for layer in initlab.inspect(twin, inputs).layers:
        for name in layer.parameters:
            if entries[name].role in ("weight", "embedding") and name not in left and layer.second_moment:
                # the first use of more than zeros, which a state begins with
                small = name in targets.plain or entries[name].role == "embedding"  # by choice
                measured = entries[name].measured if small else None
                asked = measured[1] if measured else targets.inner.get(name, 1.0) ** -2
                found.setdefault(name, layer.second_moment / asked)
    return found
