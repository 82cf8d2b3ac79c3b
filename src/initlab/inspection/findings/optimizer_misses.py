"""Trainable parameters that the optimizer object does not hold, or moves at a rate of 0."""

from __future__ import annotations

import math

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity

MOST = 0.5  # share of the trainable numbers from which training is held up


def find(e: Evidence) -> Finding | None:
    if e.step.groups is None:
        return None
    trainable = [p for p in e.parameters if p.trainable]
    missed = [p for p in trainable if e.step.share(p.name) == 0]
    if not missed:
        return None
    share = sum(math.prod(p.shape) for p in missed) / max(1, sum(math.prod(p.shape) for p in trainable))
    severity: Severity = "error" if len(missed) == len(trainable) else "warning" if share > MOST else "info"
    evidence = f"{len(missed)} of {len(trainable)} trainable parameters, {share:.0%} of the weights, are not in it"
    advice = "Give it model.parameters(), made after the model's last change, or freeze what is to stay as it is"
    return Finding("optimizer", severity, missed[0].name, evidence, advice)


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    code = f"optimizer = type(optimizer)(model.parameters(), lr={e.step.lr!r})"
    return Remedy("Give the optimizer every parameter of the model", code, whole=True)


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
