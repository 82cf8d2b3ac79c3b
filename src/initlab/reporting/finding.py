"""A finding: one thing that is wrong with a model's start, or worth knowing, as every result lists them."""

from __future__ import annotations

from dataclasses import dataclass

from initlab.reporting.status import Severity


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: what is wrong, in the field's word: a cause (inputs, targets, broadcast, output activation, label count,
            cut off, mode, residuals, copies) or a symptom (vanishing, exploding, saturated, dead, symmetric, collapsed,
            unbalanced, non-finite); of an audit, one of `planning.audit.findings.KINDS`.
        severity: "error" (training is predicted to fail), "warning" (to be slow or unsteady), "info" (a symptom that
            training is predicted to get over).
        where: name of the layer or parameter where it starts.
        evidence: the numbers.
        advice: what to do; where weights are to be drawn again, with the std that `plan` gives them.
    """

    kind: str
    severity: Severity
    where: str
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.kind} at {self.where}: {self.evidence}. {self.advice}"
