"""The prediction: optimizer steps until the loss visibly moves, and the verdict that the findings add up to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from initlab.inspection.results import Finding, ParameterStats, Verdict
from initlab.inspection.updates import Step

# Thresholds set on the tuned half of benchmarks/verdicts.py and on nothing else.
NEVER_STEPS = 4_000.0  # predicted steps from which a start counts as not training
SLOW_STEPS = 1_200.0  # from which it counts as slow
READOUT_LOST = 1e-11  # between-sample share at the last layer that single precision cannot tell from rounding
READOUT_FAINT = 3e-8  # share that an optimizer needs hundreds of steps to make out
OVERSHOOT = {"sgd": 1.0, "sign": 3.0}  # predicted first decrease of the loss over the loss: beyond it, divergence
UNSTEADY = {"sgd": 0.5, "sign": 3.0}  # the same, from which training is predicted to be unsteady
EXCESS_LOST = 1e4  # first loss over the best constant prediction's: too far to come back in a short training
EXCESS_FAR = 100.0  # the same when it is the targets' mean that lies far away (10 standard deviations)
EXCESS_SEEN = 3.0  # excess that is no longer the ordinary spread of first outputs
EXCESS_STEPS = 110.0  # steps to bring a smaller excess down, from which a start counts as slow
EXCESS_NEVER = 180.0  # from which it counts as not training, if the excess is tenfold
DROWNED = 3e-5  # signal at the last layer over the learning rate: under it, Adam's bias steps drown the signal
BYPASS_RANK = 2.5  # directions in which samples differ at the last layer, above which merged layers are bypassed
MERGED = 0.1  # share of a layer's units that are distinct, under which it counts as symmetric


@dataclass(frozen=True)
class Outlook:
    """What the first step promises.

    Attributes:
        pace: largest relative change that a step makes in what a weight matrix computes.
        total_pace: their sum.
        gain: predicted decrease of the loss a step, over the loss.
        steps: predicted steps until the loss has visibly moved.
        excess: first loss over that of the best constant prediction; None when the loss is not one we know.
        excess_steps: predicted steps to bring the excess down.
    """

    pace: float
    total_pace: float
    gain: float
    steps: float
    excess: float | None
    excess_steps: float


def outlook_of(parameters: Iterable[ParameterStats], step: Step, loss: float, constant_loss: float | None) -> Outlook:
    """Predicted speed from the part of each first step that tells samples apart.

    Plain gradient descent moves the loss at the geometric mean of two rates: how fast a layer changes relative to
    itself (what it takes to leave a saddle) and the predicted relative decrease of the loss (what it takes once
    away from it). Adam and its kin rescale tiny gradients, so there the first rate alone counts.
    """
    moving = [p for p in parameters if p.pace is not None and p.gain is not None]
    pace = max((p.pace or 0.0 for p in moving), default=0.0)
    total = sum(p.pace or 0.0 for p in moving)
    gain = sum(p.gain or 0.0 for p in moving)
    rate = pace if step.sign_like else math.sqrt(pace) * math.sqrt(gain)
    excess = loss / constant_loss if constant_loss else None
    logs = math.log(excess) if excess is not None and 1.0 < excess < math.inf else 0.0
    return Outlook(
        pace=pace,
        total_pace=total,
        gain=gain,
        steps=1.0 / rate if rate > 0 else math.inf,
        excess=excess,
        excess_steps=logs / total if total > 0 else (math.inf if logs else 0.0),
    )


def verdict_of(findings: Iterable[Finding], trainable: bool) -> Verdict:
    """Untrainable with any error or with nothing to train, slow with any warning, else healthy."""
    if not trainable:
        return "untrainable"
    severities = {finding.severity for finding in findings}
    return "untrainable" if "error" in severities else "slow" if "warning" in severities else "healthy"
