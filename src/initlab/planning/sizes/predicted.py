"""What rules say of the outputs of weights: the second moment that each makes with its derived std."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from initlab.graph import SignalGraph
from initlab.graph.uses import Use
from initlab.planning.parameters.fed import second_moments
from initlab.planning.plan import PlanEntry
from initlab.planning.sizes.plain import plain_second
from initlab.planning.sizes.targets import Targets
from initlab.sampling import canonical_name


def with_predictions(
    entries: Iterable[PlanEntry], graph: SignalGraph, targets: Targets, owner: Mapping[str, str], fixed: Iterable[str]
) -> tuple[PlanEntry, ...]:
    """The entries with E[y²] of every weight whose gain undoes what arrives: gain² · E[x²] · the taps that see x.

    That is the share of the taps, but behind layers of plain networks, which a pass makes small and for which gains
    are not said: there x is as small as they are.

    Args:
        entries: the plan's entries.
        graph: the recording, with the sizes that outputs are to have.
        targets: what each weight's output is to be like.
        owner: every canonical name -> the name of its entry.
        fixed: names whose laws are not to be changed.
    """
    small = targets.plain - frozenset(fixed)
    uses: dict[str, tuple[Use, ...]] = {}
    for name in graph.parameters:
        uses.setdefault(owner.get(canonical_name(name), ""), graph.uses(name))
    if small:
        sizes = {name: plain_second(spread_of(uses[owner[canonical_name(name)]])) for name in graph.parameters
                 if owner.get(canonical_name(name)) in small}  # fmt: skip
        graph = replace(graph, sizes={**graph.sizes, **sizes})
        for name in graph.parameters:
            uses[owner.get(canonical_name(name), "")] = graph.uses(name)
    return tuple(replace(entry, predicted=_predicted(entry, uses.get(entry.name, ()))) for entry in entries)


def spread_of(uses: Iterable[Use]) -> float:
    """The standard deviation of E[y²] over draws, as a share of it: √(2/m) of m units, as far as inputs agree."""
    applied = next((use for use in uses if use.feeds is not None), None)
    if applied is None or applied.feeds is None or applied.geometry is None:
        return 0.0
    units = applied.geometry.shape[applied.geometry.out_axis]
    return applied.feeds.common * math.sqrt(2 / max(units, 1))


def _predicted(entry: PlanEntry, uses: tuple[Use, ...]) -> float | None:
    if entry.role != "weight" or entry.gain is None or entry.code != "fed":
        return None
    fed = [use for use in uses if use.feeds is not None]
    moments = second_moments(fed)
    if not moments:
        return None
    seen = sum(use.feeds.seen for use in fed if use.feeds is not None) / len(fed)
    return entry.gain**2 * seen * sum(moments) / len(moments)
