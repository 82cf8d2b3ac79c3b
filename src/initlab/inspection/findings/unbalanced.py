"""Targets far from where the output starts, or weights that move a thousand times as fast as others."""

from __future__ import annotations

import math

from initlab.inspection.advice import advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.findings.vanishing import NEVER_STEPS
from initlab.inspection.results import Finding

# Set on the tuned half of benchmarks/verdicts.py and on nothing else.
EXCESS_FAR = 100.0  # first loss over the best constant prediction's, when the targets' mean is 10 deviations away
APART = 1e3  # pace of the fastest weight over that of the slowest, from which it is told


def find(e: Evidence) -> Finding | None:
    return _far_targets(e) or _paces_apart(e)


def _far_targets(e: Evidence) -> Finding | None:
    excess = e.outlook.excess or 0.0
    if excess <= EXCESS_FAR or not e.far_targets:
        return None
    spread = math.sqrt(e.seen.offset / e.seen.loss * excess)
    evidence = f"the targets' mean lies {spread:.3g} standard deviations of the targets from the first outputs"
    return Finding("unbalanced", "warning", "output", evidence, "Standardize the targets, or start the last bias there")


def _paces_apart(e: Evidence) -> Finding | None:
    paces = [(p.pace or 0.0, p.name) for p in e.matrices if p.rms > 0 and (p.pace or 0.0) > 0]
    if len(paces) < 2 or e.outlook.steps > NEVER_STEPS[e.step.family]:
        return None
    (slow, slow_name), (fast, fast_name) = min(paces), max(paces)
    if fast < APART * slow:
        return None
    evidence = f"a step changes {fast_name} by {fast:.1e} of itself, {slow_name} by {slow:.1e}"
    return Finding("unbalanced", "info", slow_name, evidence, advice(e))


FINDING = Kind(find)
