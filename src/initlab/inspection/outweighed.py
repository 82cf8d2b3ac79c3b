"""How hard weight decay pulls, against the loss."""

from __future__ import annotations

import math
import statistics

from initlab.graph.once import once
from initlab.inspection.evidence import Evidence
from initlab.inspection.results import ParameterStats

USUAL = {"coupled": 5e-3, "decoupled": 0.5}  # decay up to which it is somebody's recipe
# The decay's pull over the loss's, at the median matrix. Nine networks were trained for 100 steps with Adam, SGD with
# momentum and AdamW at decays a factor of ten apart. Up to 0.2 none lost more than an eighth of what it learns without;
# at 1 to 2 they lost a tenth to all of it; from here on 14 of 15 learned nothing.
OUTWEIGHED = 10.0


@once
def pulls(e: Evidence) -> tuple[tuple[float, ParameterStats], ...]:
    """(how many times as hard as the loss the decay pulls, the matrix), of every matrix that decays unusually fast.

    Decay in the gradient adds decay * w to g, and beside plain descent lr * decay * w to lr * g: decay * rms(w) /
    rms(g). Beside steps of Adam and its kin, of size lr each, it is decay * rms(w): weights stay under 1 / decay.

    Source: Loshchilov & Hutter 2019, "Decoupled weight decay regularization", algorithms 1 and 2.
    """
    found = []
    for p in e.matrices:
        group = (e.step.groups or {}).get(p.name)
        if group is None or not p.grad_rms or not math.isfinite(p.grad_rms):
            continue
        apart = group.decoupled and e.step.sign_like
        if group.decay > USUAL["decoupled" if apart else "coupled"]:
            found.append((group.decay * p.rms / (1.0 if apart else p.grad_rms), p))
    return tuple(found) if 2 * len(found) >= len(e.matrices) else ()


def outweighed(e: Evidence) -> bool:
    """Whether it takes the weights away before anything is learned."""
    found = pulls(e)
    return bool(found) and statistics.median(pull for pull, _ in found) >= OUTWEIGHED
