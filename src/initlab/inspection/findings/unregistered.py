"""Weights that are used and that the model does not list: modules in a Python list, tensors that are no Parameter."""

from __future__ import annotations

import math

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind, advised
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity

ADVICE = "Hold modules in nn.ModuleList or nn.ModuleDict, tensors as nn.Parameter: a plain list or attribute hides them"


def find(e: Evidence) -> Finding | None:
    """A remark where an optimizer object holds all of them."""
    loose = e.seen.events.loose
    if not loose:
        return None
    first, numbers = loose[0], sum(math.prod(one.shape) for one in loose)
    held = e.step.beside.issuperset(one.key for one in loose)
    whose = (
        "the optimizer holds them all the same" if held else "an optimizer that is made from those does not move them"
    )
    evidence = (
        f"{len(loose)} that the forward pass reads, {numbers:,} numbers, the first of shape {first.shape}, are not "
    )
    evidence += f"in model.parameters(): {whose}, and state_dict leaves them out"
    severity: Severity = "info" if held else "warning"
    return Finding("unregistered", severity, first.module or "the model", evidence, ADVICE)


FINDING = Kind(find, survives=True, leads=True, remedy=advised)
