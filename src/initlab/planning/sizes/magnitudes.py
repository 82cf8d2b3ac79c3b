"""Weight norm: a weight stored as a magnitude and a direction is planned so that the product has the planned std."""

from __future__ import annotations

import math
from collections.abc import Mapping

from initlab.guest.modules import WEIGHT_NORM
from initlab.planning.plan import PlanEntry
from initlab.planning.reason import Reason
from initlab.sampling.laws import Constant
from initlab.schemes import Geometry, get_scheme


def with_magnitudes(entries: tuple[PlanEntry, ...]) -> tuple[PlanEntry, ...]:
    """The entries with each weight-norm magnitude set to the expected norm of the direction it belongs to.

    w = g · v / ‖v‖ has v's own law, to the spread of ‖v‖, when g = √(E[v²] · elements of v that share one g). A weight
    that is to be zero gets g = 0 and a random direction, since a direction of zeros would make w = 0/0.
    """
    pairs = _pairs({entry.name: entry for entry in entries})
    directions = {entry.name for entry in pairs.values()}
    return tuple(
        _magnitude(entry, pairs[entry.name])
        if entry.name in pairs
        else (_turned(entry) if entry.name in directions else entry)
        for entry in entries
    )


def magnitudes_of(entries: Mapping[str, PlanEntry]) -> dict[str, str]:
    """Each direction that a law is planned for -> its magnitude."""
    return {found.name: name for name, found in _pairs(entries).items() if found.action == "write"}


def _pairs(by_name: Mapping[str, PlanEntry]) -> dict[str, PlanEntry]:
    """Each magnitude -> its direction; one that is frozen, as at 1 in a head of prototypes, follows none."""
    free = {name: entry for name, entry in by_name.items() if entry.code != "frozen"}
    return {name: found for name, entry in free.items() if (found := _direction(entry, by_name)) is not None}


def _turned(entry: PlanEntry) -> PlanEntry:
    if entry.law is None or _rms(entry) > 0:
        return entry
    scheme, geometry = get_scheme("normal", std=1.0), entry.geometry
    reason = Reason(entry.code, f"{entry.reason}; weight norm: the magnitude is zero, the direction random")
    law = scheme.law(geometry if geometry is not None else Geometry(entry.shape, 1.0, 1.0))
    return entry.but(law=law, std=1.0, scheme=scheme.label, reason=reason, recipe=scheme, gain=None)


def _rms(entry: PlanEntry) -> float:
    if entry.law is None or entry.std is None:
        return 0.0
    return math.hypot(entry.std, entry.law.mean_of(entry.shape))


def _direction(entry: PlanEntry, by_name: Mapping[str, PlanEntry]) -> PlanEntry | None:
    for own, other in WEIGHT_NORM:
        found = by_name.get(entry.name.removesuffix(own) + other) if entry.name.endswith(own) else None
        if found is not None and _broadcasts(entry.shape, found.shape):
            return found
    return None


def _broadcasts(magnitude: tuple[int, ...], direction: tuple[int, ...]) -> bool:
    """Whether one is a column of norms of the other: equal on one axis, one long on the rest."""
    if len(magnitude) == 0:
        return True
    same_rank = len(magnitude) == len(direction)
    return same_rank and all(one in (1, other) for one, other in zip(magnitude, direction, strict=True))


def _magnitude(entry: PlanEntry, direction: PlanEntry) -> PlanEntry:
    if entry.action == "refuse" or entry.asked:
        return entry
    if direction.action != "write":
        reason = Reason("kept_direction", f"kept: the magnitude of {direction.name}, which is kept")
        return entry.but(law=None, std=None, scheme="keep", reason=reason, action="keep", recipe=None, gain=None)
    together = math.prod(direction.shape) // max(1, math.prod(entry.shape))
    norm = _rms(direction) * math.sqrt(together)
    scheme, law = get_scheme("constant", value=norm), Constant(norm)
    reason = Reason("weight_norm", f"weight norm: the expected norm of {together} values of {direction.name}")
    return entry.but(law=law, std=0.0, scheme=scheme.label, reason=reason, action="write", recipe=scheme)
