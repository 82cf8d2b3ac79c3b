"""Trainable parameters that the optimizer object does not hold, or moves at a rate of 0."""

from __future__ import annotations

import math

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding, ParameterStats
from initlab.reporting.status import Severity

ADD = """held = {id(p) for group in optimizer.param_groups for p in group["params"]}
others = [p for p in model.parameters() if p.requires_grad and id(p) not in held]
optimizer.add_param_group({"params": others})"""
WAKEN = """for group in optimizer.param_groups:
    group["lr"] = group["lr"] or {!r}"""
MOST = 0.5  # share of the trainable numbers from which training is held up


def find(e: Evidence) -> Finding | None:
    if e.step.groups is None:
        return None
    trainable, missed = [p for p in e.parameters if p.trainable], _missed(e)
    if not missed:
        return None
    share = sum(math.prod(p.shape) for p in missed) / max(1, sum(math.prod(p.shape) for p in trainable))
    severity: Severity = "error" if len(missed) == len(trainable) else "warning" if share > MOST else "info"
    evidence = f"{len(missed)} of {len(trainable)} trainable parameters, {share:.0%} of the weights, {_how(e, missed)}"
    advice = "Give it model.parameters(), made after the model's last change, or freeze what is to stay as it is"
    return Finding("optimizer", severity, missed[0].name, evidence, advice)


def _how(e: Evidence, missed: list[ParameterStats]) -> str:
    still = len(_still(e, missed))
    if not still:
        return "are not in it"
    return "have a rate of 0" if still == len(missed) else "are not in it or have a rate of 0"


def _missed(e: Evidence) -> list[ParameterStats]:
    """The trainable parameters that it does not move."""
    return [p for p in e.parameters if p.trainable and e.step.share(p.name) == 0]


def _still(e: Evidence, missed: list[ParameterStats]) -> list[ParameterStats]:
    """Those that it holds at a rate of 0."""
    return [p for p in missed if e.step.groups is not None and p.name in e.step.groups]


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    """A further group, or another rate: momentum, decay and the groups that there are stay."""
    missed = _missed(e)
    still = _still(e, missed)
    code = [WAKEN.format(e.step.lr)] if still else []
    code += [ADD] if len(still) < len(missed) else []
    return Remedy("Give the optimizer every parameter of the model", "\n".join(code), whole=True)


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
