"""A constant of an activation function that makes another function of it: a slope of 100, a threshold of 5."""

from __future__ import annotations

from initlab.inspection.activations import SETTINGS
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding


def find(e: Evidence) -> Finding | None:
    for item in e.seen.events.constants:
        usual = SETTINGS[item.function]
        if not usual.low <= item.value <= usual.high:
            evidence = f"{item.function} has {usual.name} {item.value:g}; from {usual.low:g} to {usual.high:g} is usual"
            advice = f"Give {item.function} another {usual.name}"
            return Finding("activation constant", "warning", item.module or "the model", evidence, advice)
    return None


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    return Remedy(f"{finding.advice} in {finding.where}")


FINDING = Kind(find, leads=True, remedy=remedy)
