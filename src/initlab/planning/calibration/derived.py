"""What rules alone change of a plan where no pass can run: each output is brought to its target as far as it is known.

So it is on the meta device, for models too large for a pass on the side, and for scripted ones.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from initlab.graph import SignalGraph, Use
from initlab.planning.calibration.correcting import corrected
from initlab.planning.calibration.found import Found, correctable, rounded
from initlab.planning.calibration.measuring import misses
from initlab.planning.calibration.read_outs import factor_by_rule
from initlab.planning.parameters.fed import second_moments
from initlab.planning.plan import PlanEntry, owners
from initlab.planning.sizes.predicted import spread_of
from initlab.planning.sizes.targets import Targets
from initlab.sampling import canonical_name


def derived(
    entries: tuple[PlanEntry, ...], graph: SignalGraph, targets: Targets, fixed: Collection[str]
) -> tuple[PlanEntry, ...]:
    """The entries with each std corrected where rules say that what it makes misses its target.

    Args:
        entries: the plan by its rules, with what they say of outputs.
        graph: the recording, with the sizes that outputs are to have.
        targets: what each weight's output is to be like.
        fixed: names whose laws are not to be changed.
    """
    owner, by_name = owners(entries), {entry.name: entry for entry in entries}
    spelled: dict[str, str] = {}
    for name in graph.parameters:
        spelled.setdefault(owner.get(canonical_name(name), ""), name)
    found = Found(scales=targets.scales)
    free = [entry for entry in entries if correctable(entry.name, by_name, fixed, targets.scales)]
    for entry in free:
        uses = graph.uses(spelled[entry.name]) if entry.name in spelled else ()
        found.factors[entry.name] = _to_target(entry, uses, targets, found)
    graph = _with_ties(graph, spelled, by_name, targets, found)
    for entry in free:
        factor, lessened = found.factors[entry.name], graph.lessened.get(spelled.get(entry.name, ""), 1.0)
        factor *= min(math.sqrt(lessened), targets.most(entry) / factor)
        found.factors[entry.name] = rounded(factor * _to_unit_scores(entry.name, graph, targets, found))
    return tuple(corrected(entry, found, targets) for entry in entries)


def _with_ties(
    graph: SignalGraph, spelled: Mapping[str, str], entries: Mapping[str, PlanEntry], targets: Targets, found: Found
) -> SignalGraph:
    """The recording with the rows of tables that are heads too as small as their first loss makes them."""
    sizes = {spelled[n]: ((entries[n].std or 0.0) * found.factor(n)) ** 2 for n in targets.ties if n in spelled}
    return replace(graph, sizes={**graph.sizes, **sizes}) if sizes else graph


def _to_target(entry: PlanEntry, uses: tuple[Use, ...], targets: Targets, found: Found) -> float:
    """What brings the second moment of what a parameter makes to what that is to be."""
    second = _made(entry, uses)
    if second is None:
        return 1.0
    if entry.name in targets.heads:
        return factor_by_rule(entry, targets, second)
    target = targets.of(entry.name, spread_of(uses))
    if target is None or (second < target and entry.name in targets.bounded):
        return 1.0
    if not targets.sized(entry.name) and not misses(second / target):
        return 1.0
    found.derived[entry.name] = second, target
    return math.sqrt(target / second)


def _made(entry: PlanEntry, uses: tuple[Use, ...]) -> float | None:
    """The second moment of what a parameter makes by its law: one where a gain was chosen and nothing more is known."""
    if entry.role == "embedding" and not any(use.role == "weight" for use in uses):
        return (entry.std or 0.0) ** 2 or None
    if entry.role not in ("weight", "embedding"):
        return None
    if entry.predicted is not None:
        return entry.predicted or None
    for use in uses:  # of a table that is a head too: σ² · fan_in · E[x²]
        moments = second_moments((use,)) if use.role == "weight" and use.geometry is not None else []
        if moments and use.geometry is not None and entry.std:
            return entry.std**2 * use.geometry.fan_in * moments[0]
    return 1.0 if entry.role == "weight" else None


def _to_unit_scores(name: str, graph: SignalGraph, targets: Targets, found: Found) -> float:
    """What brings the attention scores that queries make to unit variance where they are larger."""
    queries = targets.queries.get(name)
    factor = 1.0 if queries is None or name in targets.normed else graph.scored.get(queries.place, 1.0)
    if not misses(factor):
        return 1.0
    found.scores[name] = 1 / factor
    return math.sqrt(factor)
