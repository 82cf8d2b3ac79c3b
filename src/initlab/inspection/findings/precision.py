"""Weights in float16 under an optimizer whose step leaves no number there."""

from __future__ import annotations

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind, advised
from initlab.inspection.half import breaks, in_half
from initlab.inspection.results import Finding

ADVICE = "Keep the weights in float32 and run the forward pass under torch.autocast, or use bfloat16"


def find(e: Evidence) -> Finding | None:
    if not breaks(e):
        return None
    names = in_half(e)
    evidence = (
        f"after one step of {e.step.name} with {len(names)} parameters in float16 the loss is no number: squares of "
    )
    evidence += "gradients under 2e-4 are 0 there"
    evidence += f", and so is its eps of {e.step.eps:g}" if e.step.eps < 6e-8 else ""
    return Finding("precision", "error", names[0], evidence, ADVICE)


FINDING = Kind(find, leads=True, remedy=advised)
