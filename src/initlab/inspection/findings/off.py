"""A bias, a norm's weight or bias, a scale or a number in the code that starts where it does harm: named by trying."""

from __future__ import annotations

import math

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy, drawn_again, starting_at
from initlab.inspection.results import Finding
from initlab.inspection.suspects import Suspect, suspects
from initlab.inspection.trials import Trial
from initlab.planning.plan import PlanEntry
from initlab.sampling import canonical_name
from initlab.schemes import Scheme


def find(e: Evidence) -> Finding | None:
    """The suspect whose usual value helps most; one that neither helps nor harms is told all the same."""
    found = suspects(e)
    if not found:
        return None
    worst = found[0]
    size = (
        f"its rms is {worst.rms:.3g}" if worst.role != "factor" else f"a signal is multiplied by {worst.rms:.3g} there"
    )
    many = f" ({worst.count} such)" if worst.count > 1 else ""
    evidence = f"{size}{many}; {outcome(worst.trial)}"
    harms = worst.trial.helps or worst.trial.relieves
    return Finding(worst.role, "warning" if harms else "info", worst.where, evidence, _advice(e, worst))


def outcome(trial: Trial) -> str:
    """What the change does, in words."""
    before = f"{trial.before:.4g}" if math.isfinite(trial.before) else "no finite number"
    changed = f"with {trial.change.words} the lowest loss along the first step"
    freed = ", and layers that were off or saturated are not" if trial.relieves else ""
    return f"{changed} is {trial.lowest:.4g} in place of {before}{freed}"


def _advice(e: Evidence, worst: Suspect) -> str:
    if worst.role == "factor":
        return f"Leave the factor {worst.rms:.3g} out"
    entry = _entry(e, worst)
    if entry is not None and entry.std:
        return f"Draw {'them' if worst.count > 1 else 'it'} with std {entry.std:.3g}, as plan does"
    start = f"Start {'them' if worst.count > 1 else 'it'} at {worst.usual:g}"
    if entry is None:
        return start
    return start + (", as plan does" if entry.action == "write" else "; plan keeps what may be its author's own")


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    """The usual value of every suspect: with one alone the others may hide that they harm."""
    worst, *others = suspects(e)
    if worst.role == "factor":
        return Remedy(f"{finding.advice} in {worst.where}")
    off = [worst, *(other for other in others if other.role != "factor")]
    policy = {name: _law(e, one) for one in off for name in one.trial.change.values}
    return drawn_again(policy, "; ".join(f"{_advice(e, one)}: {one.where}" for one in off))


def _law(e: Evidence, one: Suspect) -> Scheme | str:
    entry = _entry(e, one)
    return "auto" if entry is not None and entry.std else starting_at(one.usual)


def _entry(e: Evidence, worst: Suspect) -> PlanEntry | None:
    return None if e.plan is None else e.plan[canonical_name(worst.where)]


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
