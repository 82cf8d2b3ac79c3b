"""The loss is minus a loss: training that lowers it makes the answers worse."""

from __future__ import annotations

from typing import Any

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding

WORDS = {"cross_entropy": "cross-entropy", "nll": "negative log-likelihood", "mse": "squared error",
         "l1": "absolute error", "smooth_l1": "absolute error", "huber": "Huber loss",
         "bce_with_logits": "binary cross-entropy", "bce": "binary cross-entropy",
         "kl": "divergence"}  # fmt: skip


def find(e: Evidence) -> Finding | None:
    answer, up = e.seen.answer, _maximized(e)
    kind = answer.loss if up else answer.minus or e.seen.pushed
    if kind not in WORDS:
        return None
    what = WORDS[kind]
    if up:
        evidence = f"the optimizer maximizes the {what}: its steps move the answers away from the targets"
        return Finding("loss sign", "warning", "optimizer", evidence, "Leave maximize out, or give it minus the loss")
    evidence = f"it is minus the {what}: steps that lower it move the answers away from the targets"
    return Finding("loss sign", "warning", "loss", evidence, "Turn its sign, or maximize it")


def _maximized(e: Evidence) -> bool:
    return e.step.groups is not None and any(group.share < 0 for group in e.step.groups.values())


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    given = e.seen.answer.function
    if finding.where == "optimizer" or not callable(given):
        return Remedy(finding.advice)

    def turned(output: Any, targets: Any) -> Any:
        return -given(output, targets)

    code = "given = loss\nloss = lambda output, targets: -given(output, targets)"
    return Remedy("Turn the loss's sign", code, loss=turned)


FINDING = Kind(find, leads=True, remedy=remedy)
