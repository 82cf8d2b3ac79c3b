"""Weight decay that pulls weights to zero harder than the loss holds them."""

from __future__ import annotations

import statistics

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.outweighed import OUTWEIGHED, pulls
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding, ParameterStats
from initlab.reporting.status import Severity

HELD = 0.1  # the decay's pull over the loss's, up to which training loses next to nothing


def find(e: Evidence) -> Finding | None:
    """By the median matrix, and only of a decay that nobody uses: else a faint gradient is the cause."""
    found = pulls(e)
    if not found or (middle := statistics.median(pull for pull, _ in found)) < 1.0:
        return None
    strongest, p = max(found, key=lambda item: item[0])
    evidence = (
        f"a decay of {_decay(e, p):g} pulls the median weight to zero {middle:.2g} times as hard as a step of the "
    )
    evidence += f"loss moves it, {p.name} {strongest:.2g} times"
    severity: Severity = "error" if middle >= OUTWEIGHED else "warning"
    return Finding("weight decay", severity, "optimizer", evidence, f"Use a weight decay of {_less(e):g}")


def _decay(e: Evidence, p: ParameterStats) -> float:
    assert e.step.groups is not None
    return e.step.groups[p.name].decay


def _less(e: Evidence) -> float:
    """The decay at which the median weight is held, to one digit."""
    found = pulls(e)
    middle = statistics.median(pull for pull, _ in found)
    return float(f"{HELD / middle * max(_decay(e, p) for _, p in found):.0e}")


def remedy(e: Evidence, finding: Finding) -> Remedy:
    """Each group's decay, in proportion."""
    share = _less(e) / max(_decay(e, p) for _, p in pulls(e))
    code = f'for group in optimizer.param_groups:\n    group["weight_decay"] *= {float(f"{share:.3g}")!r}'
    return Remedy(finding.advice, code, decay=float(f"{share:.3g}"))


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
