"""NaN or infinity in a parameter, a layer's output, the loss, or a gradient: the first of them."""

from __future__ import annotations

import math

import torch

from initlab.inspection.advice import scale_advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.results import Finding, LayerStats
from initlab.reporting.finding import Later


def find(e: Evidence) -> Finding | None:
    return _in_parameters(e) or _in_layers(e) or _in_loss(e) or _in_gradients(e)


def _in_parameters(e: Evidence) -> Finding | None:
    for p in e.parameters:
        if p.nonfinite and not p.trainable and _intended(e) and _masks(e.values[p.name]):
            continue
        if p.nonfinite or not math.isfinite(p.rms):
            advice = "Initialize it again; initlab.init_ never writes such a value"
            return _finding(p.name, f"{p.nonfinite:,} of its values are NaN or infinite", advice)
    return None


def _in_layers(e: Evidence) -> Finding | None:
    intended = _intended(e)
    for layer, record in zip(e.layers, e.seen.records, strict=True):
        faults = layer.nonfinite - (record.moments.masked if intended else 0)
        if faults:
            share = layer.nonfinite / max(1, math.prod(layer.shape))
            evidence = f"{share:.1%} of its output is NaN or infinite{_before(e, layer)}"
            return _finding(layer.name, evidence, scale_advice(e))
    return None


def _intended(e: Evidence) -> bool:
    """Whether minus infinities did what a mask is for: the loss and every gradient are finite all the same."""
    return math.isfinite(e.seen.loss) and all(p.grad_rms is None or math.isfinite(p.grad_rms) for p in e.parameters)


def _masks(values: torch.Tensor) -> bool:
    return not bool(values.isnan().any()) and not bool((values == math.inf).any())


def _in_loss(e: Evidence) -> Finding | None:
    if math.isfinite(e.seen.loss):
        return None
    told = _in_targets(e)
    if told is not None:
        return _finding("targets", *told)
    advice = "Check the output's range against the loss (log of 0, division by 0)"
    return _finding("loss", f"the loss is {e.seen.loss} ({e.seen.loss_name})", advice)


def _in_targets(e: Evidence) -> tuple[str, str] | None:
    """What in the targets makes the loss no number."""
    targets = e.own_targets
    if not isinstance(targets, torch.Tensor) or not targets.numel() or targets.layout != torch.strided:
        return None
    if targets.is_floating_point():
        count = targets.numel() - int(torch.isfinite(targets).sum())
        words = f"{count:,} of {targets.numel():,} values are NaN or infinite, and so is the loss"
        return (words, "Drop or fill them, or leave them out of the loss") if count else None
    first = targets.reshape(-1)[0]
    if targets.is_complex() or not math.isnan(e.seen.loss) or not bool((targets == first).all()):
        return None
    words = f"every one of them is {int(first)}, which the loss leaves out: it is a mean over nothing"
    return words, "Give targets that count; look at what sets the number to be ignored"


def _in_gradients(e: Evidence) -> Finding | None:
    for p in reversed(e.parameters):
        if p.grad_rms is not None and not math.isfinite(p.grad_rms):
            advice = "Look for a square root, norm or division at 0, or overflow in half precision"
            return _finding(p.name, "its gradient is NaN or infinite, the loss is finite", advice)
    return None


def _before(e: Evidence, layer: LayerStats) -> str:
    if layer.index == 0:
        return "; its input is finite"
    previous = e.layers[layer.index - 1]
    return f"; {previous.name} before it has rms {previous.second_moment**0.5:.2g}"


def _finding(where: str, evidence: str, advice: str | Later) -> Finding:
    return Finding("non-finite", "error", where, evidence, advice)


FINDING = Kind(find, spoils=True, survives=True)
