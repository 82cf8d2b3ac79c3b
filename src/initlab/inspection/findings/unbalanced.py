"""Weights that move a thousand times as fast as others."""

from __future__ import annotations

from initlab.inspection.advice import advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.findings.vanishing import NEVER_STEPS
from initlab.inspection.results import Finding

APART = 1e3  # pace of the fastest weight over that of the slowest, from which it is told


def find(e: Evidence) -> Finding | None:
    paces = [(p.pace or 0.0, p.name) for p in e.matrices if p.rms > 0 and (p.pace or 0.0) > 0]
    if len(paces) < 2 or e.outlook.steps > NEVER_STEPS[e.step.family]:
        return None
    (slow, slow_name), (fast, fast_name) = min(paces), max(paces)
    if fast < APART * slow:
        return None
    evidence = f"a step changes {fast_name} by {fast:.1e} of itself, {slow_name} by {slow:.1e}"
    return Finding("unbalanced", "info", slow_name, evidence, advice(e))


FINDING = Kind(find)
