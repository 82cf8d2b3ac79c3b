"""The findings: one function each, registered in `FINDINGS`. A function returns its finding or None."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from initlab.inspection.evidence import Evidence, scheme_for
from initlab.inspection.results import Finding, LayerStats, ParameterStats
from initlab.inspection.verdict import (
    BYPASS_RANK,
    DROWNED,
    EXCESS_FAR,
    EXCESS_LOST,
    EXCESS_NEVER,
    EXCESS_SEEN,
    EXCESS_STEPS,
    MERGED,
    NEVER_STEPS,
    OVERSHOOT,
    READOUT_FAINT,
    READOUT_LOST,
    SLOW_STEPS,
    UNSTEADY,
)
from initlab.reporting.status import Severity, rank


def findings_of(evidence: Evidence) -> tuple[Finding, ...]:
    """Every finding that applies, most severe first, then in the order of `FINDINGS`."""
    found = [finding for rule in FINDINGS if (finding := rule(evidence)) is not None]
    if any(f.kind == "non-finite" for f in found):
        found = [f for f in found if f.kind in ("non-finite", "exploding")]
    return tuple(sorted(found, key=lambda f: rank(f.severity)))


def non_finite(e: Evidence) -> Finding | None:
    """NaN or infinity in a parameter, a layer's output, the loss, or a gradient: the first of them."""
    for p in e.parameters:
        if p.nonfinite or not math.isfinite(p.rms):
            return Finding("non-finite", "error", p.name, f"{p.nonfinite:,} of its values are NaN or infinite",
                           "Initialize it again; initlab.init_ never writes such a value")  # fmt: skip
    for layer in e.layers:
        if layer.nonfinite:
            share = layer.nonfinite / max(1, math.prod(layer.shape))
            before = _before(e, layer)
            return Finding("non-finite", "error", layer.name, f"{share:.1%} of its output is NaN or infinite{before}",
                           _scale_advice(e))  # fmt: skip
    if not math.isfinite(e.seen.loss):
        return Finding("non-finite", "error", "loss", f"the loss is {e.seen.loss} ({e.seen.loss_name})",
                       "Check the output's range against the loss (log of 0, division by 0)")  # fmt: skip
    for p in reversed(e.parameters):
        if p.grad_rms is not None and not math.isfinite(p.grad_rms):
            return Finding("non-finite", "error", p.name, "its gradient is NaN or infinite, the loss is finite",
                           "Look for a square root, norm or division at 0, or overflow in half precision")  # fmt: skip
    return None


def symmetric(e: Evidence) -> Finding | None:
    """Units with equal weights and equal gradients stay equal: the layer is as wide as its distinct units."""
    hidden = [p for p in e.matrices if p.distinct is not None and (p.units or 0) > 1]
    readout = e.readout
    last = set(readout.parameters) if readout is not None else set()
    merged = [
        p for p in hidden
        if (p.distinct or 0) <= max(1.0, MERGED * (p.units or 0)) and not (p.name in last and p.rms == 0)
        and not _waiting(e, p.name)
        and not _parted_by_bias(e, p)
    ]  # fmt: skip
    if not merged:
        return None
    p = merged[0]
    severity: Severity = "warning" if _bypassed(e) else "error"
    many = f"{len(merged)} of {len(hidden)} weight matrices; " if len(merged) > 1 else ""
    evidence = f"{many}its {p.units} units have {p.distinct} distinct set{'' if p.distinct == 1 else 's'} of weights"
    return Finding("symmetric", severity, p.name, evidence + " and gradients, so they stay equal", _random_advice(e))


def collapsed(e: Evidence) -> Finding | None:
    """Different inputs have become indistinguishable where the output is read."""
    if e.batch is None or e.batch < 2 or not e.layers or e.alike:
        return None
    readout = e.readout
    share = readout.input_row_share if readout is not None else None
    if share is None or share >= READOUT_FAINT * 100 or (readout is not None and readout.input_second == 0):
        return None
    start = next((x for x in e.layers if x.row_share is not None and x.row_share < READOUT_FAINT * 100), e.layers[-1])
    severity: Severity = "error" if share < READOUT_LOST else "warning" if share < READOUT_FAINT else "info"
    if severity == "error" and _opening(e):
        severity = "warning"
    evidence = f"differences between samples are {share:.1e} of the second moment at the last layer's input"
    return Finding("collapsed", severity, start.name, evidence, _fading_advice(e))


def dead(e: Evidence) -> Finding | None:
    """Units that are off for every sample of the batch."""
    worst = max((x for x in e.layers if x.dead is not None), key=lambda x: x.dead or 0.0, default=None)
    if worst is None or (worst.dead or 0.0) < 0.5:
        return None
    first = next(x for x in e.layers if (x.dead or 0.0) >= 0.5)
    whole = (worst.dead or 0.0) == 1.0
    severity: Severity = "warning"
    if whole and not _bypassed(e):
        severity = "error"
    elif whole is False and (worst.dead or 0.0) < 0.9:
        severity = "info"
    evidence = f"{first.dead:.0%} of its units are off for every sample"
    if worst is not first:
        evidence += f"; {worst.dead:.0%} at {worst.name}"
    return Finding("dead", severity, first.name, evidence, e.advice(first.kind, "Start biases at zero or above"))


def saturated(e: Evidence) -> Finding | None:
    """Activations sit where the slope is nearly zero."""
    flat = [x for x in e.layers if (x.saturated or 0.0) >= 0.3 and x.kind != "softmax"]
    if not flat:
        return None
    worst = max(flat, key=lambda x: x.saturated or 0.0)
    severity: Severity = "warning" if (worst.saturated or 0.0) > 0.9 else "info"
    evidence = f"{flat[0].saturated:.0%} of its outputs are where {flat[0].kind} has under 5% of its largest slope"
    if worst is not flat[0]:
        evidence += f"; {worst.saturated:.0%} at {worst.name}"
    return Finding("saturated", severity, flat[0].name, evidence, e.advice(flat[0].kind))


def vanishing(e: Evidence) -> Finding | None:
    """The steps are too small to matter, or the gradient fades on its way back."""
    if not e.matrices:
        return None
    steps, outlook = e.outlook.steps, e.outlook
    never, slow = NEVER_STEPS[e.step.family], SLOW_STEPS[e.step.family]
    severity: Severity = "error" if steps > never else "warning" if steps > slow else "info"
    if severity == "error" and _opening(e):
        severity = "warning"
    where, first, last = _fading(e)
    drowned = _drowned(e)
    if drowned and severity == "info":
        severity = "warning"
    if severity == "info" and not (last > 0 and first < 1e-4 * last and e.fraction_stuck() > 0.3):
        return None
    predicted = "never" if steps > 1e7 else f"after about {steps:,.0f} steps"
    moves = f"the loss is predicted to move {predicted} ({e.step.name}, lr {e.step.lr:g}); "
    evidence = moves if severity != "info" and steps > slow else ""
    evidence += f"gradient rms falls from {last:.1e} at the output to {first:.1e} at the input"
    if drowned:
        evidence += f"; the signal at the last layer, {drowned:.1e}, drowns in bias steps of {e.step.lr:g}"
    if outlook.pace == 0 and e.matrices:
        evidence += "; no weight matrix gets a gradient that tells samples apart"
    return Finding("vanishing", severity, where, evidence, _fading_advice(e))


def exploding(e: Evidence) -> Finding | None:
    """A first step that overshoots, or a first loss far above that of a constant prediction."""
    outlook = e.outlook
    if e.seen.offset > 0.9 * e.seen.loss:
        return None
    family = e.step.family
    limit, unsteady = OVERSHOOT[family], outlook.gain > UNSTEADY[family]
    excess = outlook.excess or 0.0
    lost = outlook.gain > limit or excess > EXCESS_LOST or (excess > 10 and outlook.excess_steps > EXCESS_NEVER)
    if not lost and not unsteady and (outlook.excess_steps <= EXCESS_STEPS or excess < EXCESS_SEEN):
        return None
    parts = []
    if unsteady:
        parts.append(f"the first step overshoots: to first order it lowers the loss by {outlook.gain:.2g} times itself")
    if excess > 1.5:
        parts.append(f"the first loss is {excess:.3g} times that of the best constant prediction")
    grown = _largest(e)
    parts.append(f"the signal's rms reaches {grown.second_moment**0.5:.2g} at {grown.name}" if grown else "")
    severity: Severity = "error" if lost else "warning"
    where = _growth_start(e) or (grown.name if grown else "the model")
    return Finding("exploding", severity, where, "; ".join(p for p in parts if p), _scale_advice(e))


def unbalanced(e: Evidence) -> Finding | None:
    """Targets far from where the output starts, or weights that move a thousand times as fast as others."""
    if (e.outlook.excess or 0.0) > EXCESS_FAR and e.seen.offset > 0.9 * e.seen.loss:
        spread = math.sqrt(e.seen.offset / e.seen.loss * (e.outlook.excess or 0.0))
        evidence = f"the targets' mean lies {spread:.3g} standard deviations of the targets from the first outputs"
        return Finding(
            "unbalanced", "warning", "output", evidence, "Standardize the targets, or start the last bias there"
        )
    paces = [(p.pace or 0.0, p.name) for p in e.matrices if p.rms > 0 and (p.pace or 0.0) > 0]
    if len(paces) < 2 or e.outlook.steps > NEVER_STEPS[e.step.family]:
        return None
    (slow, slow_name), (fast, fast_name) = min(paces), max(paces)
    if fast < 1e3 * slow:
        return None
    evidence = f"a step changes {fast_name} by {fast:.1e} of itself, {slow_name} by {slow:.1e}"
    return Finding("unbalanced", "info", slow_name, evidence, e.advice())


# One entry a finding; ties in severity keep this order.
FINDINGS: tuple[Callable[[Evidence], Finding | None], ...] = (
    non_finite,
    symmetric,
    collapsed,
    dead,
    saturated,
    vanishing,
    exploding,
    unbalanced,
)


def _drowned(e: Evidence) -> float | None:
    """Rms of what differs between samples at the read-out's input, if steps of the learning rate's size drown it."""
    readout = e.readout
    if not e.step.sign_like or readout is None or not readout.input_second:
        return None
    if not any(len(p.shape) == 1 and p.trainable and p.name.endswith("bias") for p in e.parameters):
        return None
    signal = math.sqrt(readout.input_second * (readout.input_row_share or 0.0))
    return signal if 0 < signal < DROWNED * e.step.lr else None


def _opening(e: Evidence) -> bool:
    """Whether the read-out is zero and moves with the first step: what its zeros hide can be told only after that.

    Adam and its kin take that first step at full size; plain gradient descent pays for a faint signal twice.
    """
    names = e.readout.parameters if e.readout is not None else ()
    weights = [p for p in e.matrices if p.name in names]
    return e.step.sign_like and any(p.rms == 0 and (p.grad_rms or 0.0) > 0 for p in weights)


def _waiting(e: Evidence, name: str) -> bool:
    """A weight of zeros whose rows will part at the next step: its gradient is what sets them apart, or is yet to come.

    Zero rows with zero gradients are symmetric only if nothing downstream is about to open: a zero read-out, or a
    zero branch, lets the gradient through after one step.
    """
    p = next(x for x in e.matrices if x.name == name)
    return p.rms == 0 and (p.grad_rms or 0.0) > 0 and p.distinct != 1


def _parted_by_bias(e: Evidence, p: ParameterStats) -> bool:
    """Whether units with equal weights have biases of their own, so that they put out different values."""
    values = dict(e.model.named_parameters())
    names = e.layers[p.layer].parameters if p.layer is not None else ()
    return any(
        values[name].ndim == 1 and int(torch.unique(values[name].detach()).numel()) > max(1.0, MERGED * (p.units or 0))
        for name in names
    )


def _bypassed(e: Evidence) -> bool:
    """Whether samples differ in several directions where the output is read: signals went round the merged layers."""
    rank = e.readout.input_rank if e.readout is not None else None
    return rank is not None and rank > BYPASS_RANK


def _fading(e: Evidence) -> tuple[str, float, float]:
    """(where the gradient has faded, its rms at the first layer, at the last)."""
    reached = [x for x in e.layers if x.grad_rms is not None]
    if not reached:
        return (e.layers[0].name if e.layers else "the model"), 0.0, 0.0
    first, last = reached[0].grad_rms or 0.0, reached[-1].grad_rms or 0.0
    for layer in reversed(reached):
        if (layer.grad_rms or 0.0) < 1e-3 * last:
            return layer.name, first, last
    return reached[0].name, first, last


def _largest(e: Evidence) -> LayerStats | None:
    finite = [x for x in e.layers if math.isfinite(x.second_moment)]
    return max(finite, key=lambda x: x.second_moment, default=None)


def _growth_start(e: Evidence) -> str | None:
    """The first layer whose signal is ten times that of the first layer's input scale."""
    return next((x.name for x in e.layers if math.isfinite(x.second_moment) and x.second_moment > 100.0), None)


def _before(e: Evidence, layer: LayerStats) -> str:
    if layer.index == 0:
        return "; its input is finite"
    previous = e.layers[layer.index - 1]
    return f"; {previous.name} before it has rms {previous.second_moment**0.5:.2g}"


def _scale_advice(e: Evidence) -> str:
    advice = e.advice(otherwise=f"Lower the learning rate ({e.step.lr:g}) or warm it up, or add normalization")
    if len(e.layers) > 30 and not e.normalised:
        return advice + "; in a deep residual net, scale the branches by 1/sqrt(depth) or start them at zero"
    return advice


def _random_advice(e: Evidence) -> str:
    return f"Only random weights break the symmetry: use {scheme_for(e.nonlinearity)}"


def _fading_advice(e: Evidence) -> str:
    """What helps when the scale is right already and signals fade all the same."""
    if e.nonlinearity in ("sigmoid", "hardsigmoid"):
        return e.advice(otherwise="No scheme carries signals through a deep stack of sigmoids: use tanh or relu") + (
            "; in a deep stack use tanh or relu instead of sigmoid, or add normalization"
        )
    if not e.step.sign_like:
        return e.advice(otherwise=f"Use a larger learning rate than {e.step.lr:g}, or adamw, or add normalization")
    return e.advice()
