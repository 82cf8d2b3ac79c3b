"""A constant of an activation function that makes another function of it: a slope of 100, a threshold of 5."""

from __future__ import annotations

from initlab.inspection.activations import SETTINGS
from initlab.inspection.events import Constant
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy, set_to
from initlab.inspection.results import Finding


def find(e: Evidence) -> Finding | None:
    for item in e.seen.events.constants:
        usual = SETTINGS[item.function]
        if not _is_usual(item):
            evidence = f"{item.function} has {usual.name} {item.value:g}; from {usual.low:g} to {usual.high:g} is usual"
            advice = f"Give {item.function} another {usual.name}"
            return Finding("activation constant", "warning", item.module or "the model", evidence, advice)
    return None


def _is_usual(item: Constant) -> bool:
    return SETTINGS[item.function].low <= item.value <= SETTINGS[item.function].high


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    """Modules whose attribute it is are set to the usual number; what stands in the code is its author's."""
    first = next(item for item in e.seen.events.constants if not _is_usual(item))
    alike = [
        item.module for item in e.seen.events.constants if (item.function, item.value) == (first.function, first.value)
    ]
    setting, owner = SETTINGS[first.function], e.model.get_submodule(first.module)
    if getattr(owner, setting.name, None) != first.value:
        return Remedy(f"{finding.advice} in {finding.where}")
    what = f"{finding.advice}, {setting.usual:g}, in {finding.where}"
    return set_to(setting.usual, list(dict.fromkeys(alike)), setting.name, what)


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
