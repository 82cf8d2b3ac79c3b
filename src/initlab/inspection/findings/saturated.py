"""Activations sit where the slope is nearly zero."""

from __future__ import annotations

from initlab.inspection.advice import advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity

SEEN = 0.3  # share of a layer's outputs from which it is told
MEANT = ("softmax", "softplus")  # one is sharp where it chooses, the other small where it makes small steps
MOST = 0.9  # share beyond which it slows training


def find(e: Evidence) -> Finding | None:
    layers = e.layers[: _last_with_weights(e) + 1] if e.seen.own_loss else e.layers
    flat = [x for x in layers if (x.saturated or 0.0) >= SEEN and x.kind not in MEANT]
    if not flat:
        return None
    worst = max(flat, key=lambda x: x.saturated or 0.0)
    severity: Severity = "warning" if (worst.saturated or 0.0) > MOST else "info"
    evidence = f"{flat[0].saturated:.0%} of its outputs are where {flat[0].kind} has under 5% of its largest slope"
    if worst is not flat[0]:
        evidence += f"; {worst.saturated:.0%} at {worst.name}"
    return Finding("saturated", severity, flat[0].name, evidence, advice(e, at=flat[0].index))


def _last_with_weights(e: Evidence) -> int:
    """Index of the last layer with parameters: what a model that takes its own loss does after it is the loss's."""
    return max((x.index for x in e.layers if x.parameters), default=-1)


FINDING = Kind(find)
