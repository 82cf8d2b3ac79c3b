"""The prediction: optimizer steps until the loss visibly moves, and the verdict that the findings add up to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from initlab.inspection.results import Finding, ParameterStats, Verdict
from initlab.inspection.updates import Step

# Thresholds set on the tuned half of benchmarks/verdicts.py and on nothing else.
NEVER_STEPS = {"sgd": 1_500.0, "sign": 4_000.0}  # predicted steps from which a start counts as not training
SLOW_STEPS = {"sgd": 600.0, "sign": 1_200.0}  # from which it counts as slow
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

    Adam and its kin rescale tiny gradients, so there the pace alone counts; plain gradient descent has to leave a
    saddle first (`saddle_steps`).
    """
    moving = [p for p in parameters if p.pace is not None and p.gain is not None]
    pace = max((p.pace or 0.0 for p in moving), default=0.0)
    total = sum(p.pace or 0.0 for p in moving)
    gain = sum(p.gain or 0.0 for p in moving)
    if step.sign_like:
        steps = 1.0 / pace if pace > 0 else math.inf
    else:
        steps = saddle_steps([p.pace or 0.0 for p in moving], gain)
    excess = loss / constant_loss if constant_loss else None
    logs = math.log(excess) if excess is not None and 1.0 < excess < math.inf else 0.0
    return Outlook(
        pace=pace,
        total_pace=total,
        gain=gain,
        steps=steps,
        excess=excess,
        excess_steps=logs / total if total > 0 else (math.inf if logs else 0.0),
    )


def saddle_steps(paces: Sequence[float], gain: float) -> float:
    """Steps of plain gradient descent until small weights have grown to where the loss falls, and one time constant.

    A product of L weights of size x near the saddle at zero grows as x' = k x^(L-1): relative to itself at the pace
    k x^(L-2), while the loss falls at a rate of the pace times x^L. Integrated up to x = 1: two layers take a time that
    is logarithmic in x, as short as a few hundred steps from weights of 1e-6; many layers take 1 / (their paces' sum).

    Args:
        paces: relative change of each weight matrix a step.
        gain: predicted relative decrease of the loss a step.

    Source: Saxe, McClelland & Ganguli 2014, eq. 5 and the section on deeper networks, for factors of equal size. L is
    the number of matrices that move, counted by the shares of their paces; at least 2.

    >>> round(saddle_steps([0.05, 0.05], 1e-13)), round(saddle_steps([0.005] * 20, 1e-13))
    (286, 21)
    """
    total = sum(paces)
    if total <= 0 or gain <= 0:
        return math.inf
    factors = max(2.0, total**2 / sum(pace * pace for pace in paces))
    behind = max(0.0, math.log(total / gain))  # L ln(1 / x)
    excess = (factors - 2.0) / factors
    growth = -math.expm1(-behind * excess) / excess if excess > 1e-9 else behind
    return (1.0 + growth) / total


def verdict_of(findings: Iterable[Finding], trainable: bool) -> Verdict:
    """Untrainable with any error or with nothing to train, slow with any warning, else healthy."""
    if not trainable:
        return "untrainable"
    severities = {finding.severity for finding in findings}
    return "untrainable" if "error" in severities else "slow" if "warning" in severities else "healthy"
