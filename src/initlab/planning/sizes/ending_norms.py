"""Norms that end residual branches: a scale of one adds a signal of unit size to a stream that may be much smaller.

Beside such a stream the scale sizes its branch, as the last matrix does where no norm stands behind it: it begins with
the branch's share of the stream. Beside a stream of the size of what norms make it stays the identity.

Source: Ding et al., CogView, 2021 (norms at both ends of a branch); Yin et al., Pangu Ultra, 2025 (scales by depth).
"""

from __future__ import annotations

from collections.abc import Mapping

from initlab.graph import SignalGraph
from initlab.planning.plan import PlanEntry
from initlab.planning.signals.alone import root_of
from initlab.sampling import canonical_name
from initlab.sampling.laws import Constant


def ending_scales(graph: SignalGraph, entries: Mapping[str, PlanEntry], owner: Mapping[str, str]) -> dict[str, float]:
    """The scales that come last in a branch -> the value with which they would be zero: 0 of w, −1 where it is 1 + w.

    Args:
        graph: the recording.
        entries: the plan's entries by name.
        owner: every canonical name, tied ones too -> the name of its entry.
    """
    found: dict[str, float] = {}
    for name in graph.residual_ends():
        entry = entries.get(owner.get(canonical_name(name), ""))
        if entry is None or entry.role != "norm_weight" or entry.code != "one" or not isinstance(entry.law, Constant):
            continue
        root = root_of(graph, graph.value_of(name))
        if root is not None and root != entry.law.value:
            found[entry.name] = root
    return found
