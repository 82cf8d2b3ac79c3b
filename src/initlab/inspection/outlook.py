"""What the first step alone promises: optimizer steps until the loss visibly moves, by the size of that step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from initlab.inspection.optimizers import Step
from initlab.inspection.results import ParameterStats


@dataclass(frozen=True)
class Outlook:
    """What the first step promises.

    Attributes:
        pace: largest relative change that a step makes in what a weight matrix computes.
        steps: predicted steps until the loss has visibly moved.
        excess: first loss over that of the best constant prediction; None when the loss is not one we know.
        excess_steps: predicted steps to bring the excess down.
    """

    pace: float
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

    Source: Saxe, McClelland & Ganguli 2014, the section on deeper networks, for factors of equal size. L is the number
    of matrices that move, counted by the shares of their paces; at least 2.

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
