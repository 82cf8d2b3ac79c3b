"""Nearly every weight far smaller than its plan: norms hide that from the signals; training loses time all the same."""

from __future__ import annotations

import statistics

from initlab.inspection.advice import passed_on, planned_stds
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy, drawn_again
from initlab.inspection.results import Finding

TINY = 0.03  # median weight's rms over its plan's std, under which they are too small: 0.02 at a width of 32 is 0.1


def find(e: Evidence) -> Finding | None:
    """By their size alone first: that costs no plan. Without norms the signal itself tells."""
    passed = passed_on(e)
    if not e.normalised or len(passed) < 2 or statistics.median(passed) >= TINY:
        return None
    ratios = [(p.rms / std, p) for p, std in planned_stds(e)]
    if len(ratios) < 2 or (middle := statistics.median(ratio for ratio, _ in ratios)) >= TINY:
        return None
    least, p = min(ratios, key=lambda item: item[0])
    evidence = f"the median weight's rms is {middle:.2g} of its plan's std; {p.name}'s is {least:.2g} of it"
    return Finding("tiny weights", "info", p.name, evidence, "Draw every weight as plan does")


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    return drawn_again("auto", "Draw every weight as plan does")


FINDING = Kind(find, leads=True, yields=True, remedy=remedy)
