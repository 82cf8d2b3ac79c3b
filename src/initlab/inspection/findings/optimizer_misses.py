"""Trainable parameters that the optimizer object does not hold, or moves at a rate of 0 or next to it."""

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
WAKEN = """rate = max(group["lr"] for group in optimizer.param_groups)
for group in optimizer.param_groups:
    group["lr"] = group["lr"] if group["lr"] >= {!r} * rate else rate"""
STILL = 1e-4  # rate over the largest group's, under which a group stands still: fine-tuning goes down to a hundredth


def find(e: Evidence) -> Finding | None:
    if e.step.groups is None:
        return None
    trainable, missed = [p for p in e.parameters if p.trainable], _missed(e)
    if not missed:
        return None
    share = sum(math.prod(p.shape) for p in missed) / max(1, sum(math.prod(p.shape) for p in trainable))
    severity: Severity = "error" if len(missed) == len(trainable) else "warning" if _holds_up(missed) else "info"
    evidence = f"{len(missed)} of {len(trainable)} trainable parameters, {share:.0%} of the weights, {_how(e, missed)}"
    advice = "Give it model.parameters(), made after the model's last change, or freeze what is to stay as it is"
    return Finding("optimizer", severity, missed[0].name, evidence, advice)


def _holds_up(missed: list[ParameterStats]) -> bool:
    """Whether a weight matrix that a gradient reaches is among them: a norm or a bias less is hardly felt."""
    return any(len(p.shape) > 1 and p.grad_rms for p in missed)


def _how(e: Evidence, missed: list[ParameterStats]) -> str:
    still = len(_still(e, missed))
    if not still:
        return "are not in it"
    rate = "a rate of 0" if not any(e.step.share(p.name) for p in missed) else f"a rate under {STILL:g} of the largest"
    return f"have {rate}" if still == len(missed) else f"are not in it or have {rate}"


def _missed(e: Evidence) -> list[ParameterStats]:
    """The trainable parameters that it does not move, or hardly against others."""
    shares = {p.name: abs(e.step.share(p.name)) for p in e.parameters if p.trainable}
    least = STILL * max(shares.values(), default=0.0)
    return [p for p in e.parameters if p.trainable and (not shares[p.name] or shares[p.name] < least)]


def _still(e: Evidence, missed: list[ParameterStats]) -> list[ParameterStats]:
    """Those that it holds at a rate of 0 or next to it."""
    return [p for p in missed if e.step.groups is not None and p.name in e.step.groups]


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    """A further group, or another rate: momentum, decay and the groups that there are stay."""
    missed = _missed(e)
    still = _still(e, missed)
    code = [WAKEN.format(STILL)] if still else []
    code += [ADD] if len(still) < len(missed) else []
    return Remedy("Give the optimizer every parameter of the model", "\n".join(code), whole=True)


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
