"""Output and targets have different shapes, and the loss broadcasts them: every sample is compared with every other."""

from __future__ import annotations

from initlab.inspection.answer import Answer, common_shape
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding


def find(e: Evidence) -> Finding | None:
    answer, targets = e.seen.answer, e.seen.answer.real_targets
    if targets is None or e.batch is None or e.batch < 2:
        return None
    shapes = f"the output has shape {tuple(answer.output.shape)}, the targets {tuple(targets.shape)}"
    if answer.spread is not None:
        evidence = f"{shapes}: the loss broadcasts them to {answer.spread} and compares each sample with all others"
        return Finding("broadcast", "error", "loss", evidence, _advice(answer))
    alike = targets.numel() == answer.output.numel() and targets.shape != answer.output.shape
    if alike and answer.elementwise and common_shape(answer.output, targets) is not None:
        evidence = f"{shapes}: here they were compared one to one, torch's own loss would broadcast them"
        return Finding("broadcast", "info", "loss", evidence, _advice(answer))
    return None


def _advice(answer: Answer) -> str:
    targets, output = answer.targets, answer.output
    if targets.numel() != output.numel():
        return f"Give the model {targets.shape[-1]} outputs, or targets of the output's shape"
    way = "unsqueeze(-1)" if targets.ndim < output.ndim else f"reshape{tuple(output.shape)}"
    return f"Give both one shape: targets.{way}"


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    answer = e.seen.answer
    if answer.targets.numel() != answer.output.numel():
        return Remedy(finding.advice)
    shape = (-1, *answer.output.shape[1:])
    return Remedy(finding.advice, f"targets = targets.reshape{shape}", targets=lambda targets: targets.reshape(shape))


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
