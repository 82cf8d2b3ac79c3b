"""What an optimizer's first step does in half precision, by taking it."""

from __future__ import annotations

import math

import torch

from initlab.errors import InputError
from initlab.graph.once import once
from initlab.inspection.evidence import Evidence
from initlab.inspection.probe import real_losses


def in_half(e: Evidence) -> tuple[str, ...]:
    """The parameters in float16 that steps of a size of their own move.

    Such steps divide by the root of a mean square: in float16 the square of a gradient under 2e-4 is 0, and so is an
    eps of 1e-8. What is divided by nothing is no number.
    """
    if not e.step.sign_like:
        return ()
    moved = ((name, p) for name, p in e.values.items() if p.requires_grad and e.step.share(name) != 0.0)
    return tuple(name for name, p in moved if p.dtype == torch.float16)


@once
def breaks(e: Evidence) -> bool:
    """Whether one real step on a copy of the weights leaves the loss no number."""
    if not in_half(e) or not math.isfinite(e.seen.loss):
        return False
    try:
        return any(not math.isfinite(loss) for loss in real_losses(e.problem, e.seen, e.step, 1))
    except InputError:
        return False
