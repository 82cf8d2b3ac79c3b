"""The steps are too small to matter, or the gradient fades on its way back."""

from __future__ import annotations

import math

from initlab.inspection.advice import fading_advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity

# Set on starts of small networks that were trained, and on nothing else.
NEVER_STEPS = {"sgd": 1_500.0, "sign": 4_000.0}  # predicted steps from which a start counts as not training
SLOW_STEPS = {"sgd": 600.0, "sign": 1_200.0}  # from which it counts as slow
DROWNED = 3e-5  # signal at the last layer over the learning rate: under it, Adam's bias steps drown the signal
FADED = 1e-4  # gradient at the input over that at the output, under which it is told
FADED_HERE = 1e-3  # the same at a layer, which then is where it has faded
STUCK = 0.3  # share of the weights' elements that hardly move, above which a faded gradient is told


def find(e: Evidence) -> Finding | None:
    if not e.matrices:
        return None
    steps, drowned = e.outlook.steps, _drowned(e)
    where, first, last = _fading(e)
    severity = _severity(e, drowned)
    if severity == "info" and (e.closed or not (last > 0 and first < FADED * last and _fraction_stuck(e) > STUCK)):
        return None
    evidence = ""
    if severity != "info" and steps > SLOW_STEPS[e.step.family]:
        predicted = "never to move" if steps > 1e7 else f"to move only after about {steps:,.0f} steps"
        evidence = f"the loss is predicted {predicted} ({e.step.name}, lr {e.step.lr:g}); "
    evidence += f"gradient rms falls from {last:.1e} at the output to {first:.1e} at the input"
    if drowned:
        evidence += f"; the signal at the last layer, {drowned:.1e}, drowns in bias steps of {e.step.lr:g}"
    if e.outlook.pace == 0:
        evidence += "; no weight matrix gets a gradient that tells samples apart"
    return Finding("vanishing", severity, where, evidence, fading_advice(e))


def _severity(e: Evidence, drowned: float | None) -> Severity:
    steps, family = e.outlook.steps, e.step.family
    if e.closed and e.outlook.pace == 0:
        return "info"  # nothing can be told of what lies behind a gate of zero that is about to open
    if steps > NEVER_STEPS[family] and not e.opening:
        return "error"
    return "warning" if steps > SLOW_STEPS[family] or drowned else "info"


def _drowned(e: Evidence) -> float | None:
    """Rms of what differs between samples at the read-out's input, if steps of the learning rate's size drown it."""
    readout = e.readout
    if not e.step.sign_like or readout is None or not readout.input_second:
        return None
    if not any(len(p.shape) == 1 and p.trainable and p.name in e.biases for p in e.parameters):
        return None
    signal = math.sqrt(readout.input_second * (readout.input_row_share or 0.0))
    return signal if 0 < signal < DROWNED * e.step.lr else None


def _fading(e: Evidence) -> tuple[str, float, float]:
    """(where the gradient has faded, its rms at the first layer, at the last)."""
    reached = [x for x in e.layers if x.grad_rms is not None]
    if not reached:
        return (e.layers[0].name if e.layers else "the model"), 0.0, 0.0
    first, last = reached[0].grad_rms or 0.0, reached[-1].grad_rms or 0.0
    for layer in reversed(reached):
        if (layer.grad_rms or 0.0) < FADED_HERE * last:
            return layer.name, first, last
    return reached[0].name, first, last


def _fraction_stuck(e: Evidence) -> float:
    """Share of the weight matrices' elements that a step changes by less than 1 / `NEVER_STEPS` of themselves."""
    total = sum(math.prod(p.shape) for p in e.matrices)
    slowest = 1.0 / NEVER_STEPS[e.step.family]
    stuck = sum(math.prod(p.shape) for p in e.matrices if (p.pace or 0.0) < slowest)
    return stuck / total if total else 0.0


FINDING = Kind(find)
