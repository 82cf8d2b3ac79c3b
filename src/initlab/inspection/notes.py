"""What could not be judged, and what was assumed: one function a note, registered in `NOTES`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import torch

from initlab.errors import listed
from initlab.inspection.evidence import Evidence

MOST = 6  # names that a note lists
UNLIKE = 3.0  # size of an optimizer's very first step over that of its later ones, or under, from which it is told


def notes_of(evidence: Evidence) -> tuple[str, ...]:
    """Every note that applies, then what was said when the batch was read."""
    return (*(note for rule in NOTES if (note := rule(evidence)) is not None), *evidence.read)


def _loss(e: Evidence) -> str | None:
    return f"loss: {e.seen.loss_name}" if "(" in e.seen.loss_name else None


def _output(e: Evidence) -> str | None:
    return f"output judged: {e.seen.output_path}" if e.seen.output_path != "output" else None


def _batch_of_one(e: Evidence) -> str | None:
    if e.batch != 1:
        return None
    return "a batch of one: whether inputs stay apart (collapsed) and batch-norm cannot be judged; give 16 or more"


def _alike(e: Evidence) -> str | None:
    return "every sample of the batch is the same: whether inputs stay apart cannot be judged" if e.alike else None


def _no_parameters(e: Evidence) -> str | None:
    return "the model has no parameters: nothing can train" if not e.parameters else None


def _frozen(e: Evidence) -> str | None:
    frozen = [p.name for p in e.parameters if not p.trainable]
    if not frozen:
        return None
    if len(frozen) == len(e.parameters):
        return "every parameter is frozen (requires_grad=False): nothing can train; no backward pass was made"
    return f"frozen, so not judged: {listed(frozen, MOST)}"


def _unused(e: Evidence) -> str | None:
    unused = [p.name for p in e.parameters if p.trainable and p.grad_rms is None]
    return f"no gradient reaches (unused, or cut off by detach): {listed(unused, MOST)}" if unused else None


def _evaluation(e: Evidence) -> str | None:
    return None if e.model.training else "the model is in evaluation mode; it was judged in training mode"


def _touched(e: Evidence) -> str | None:
    names = e.seen.restored
    return f"the forward pass writes to parameters (put back): {listed(names, MOST)}" if names else None


def _unseen(e: Evidence) -> str | None:
    if e.layers or not e.parameters:
        return None
    return "no layer was seen: the model computes outside torch's Python functions (scripted?)"


def _closed(e: Evidence) -> str | None:
    names = [p.name for p in e.closed]
    return f"zero, and open with the first step, so that is fine: {listed(names, MOST)}" if names else None


def _steep(e: Evidence) -> str | None:
    for factor in e.seen.events.factors:
        after = e.seen.records[factor.origin + 1 : factor.origin + 2]
        if abs(factor.value) > 1 and after and after[0].activation and after[0].origin == factor.origin:
            where = factor.module or "the model"
            return f"a steep activation, {after[0].kind}({factor.value:g}·x) in {where}, is no fault"
    return None


def _first_step(e: Evidence) -> str | None:
    """Adam's kin whose averages begin empty, uncorrected, or that step by the gradient until theirs are sure."""
    step = e.step
    if step.maker is None or step.other is not None or not step.sign_like:
        return None
    moved = [p for p in e.parameters if p.grad_rms and p.update_ratio and 0 < p.rms < math.inf]
    sizes = [p.update_ratio * p.rms / abs(step.rate * step.share(p.name)) for p in moved if p.update_ratio is not None]
    first = statistics.median(sizes) if sizes else 1.0
    if 1 / UNLIKE < first < UNLIKE:
        return None
    return f"{step.name}'s very first step is {first:.2g} times as large as its later ones, which all rates are about"


def _half(e: Evidence) -> str | None:
    kinds = {p.dtype for p in e.model.parameters() if p.is_floating_point()} & {torch.float16, torch.bfloat16}
    return "half-precision parameters: statistics are taken in single precision" if kinds else None


NOTES: tuple[Callable[[Evidence], str | None], ...] = (
    _no_parameters,
    _frozen,
    _unused,
    _batch_of_one,
    _alike,
    _evaluation,
    _loss,
    _output,
    _touched,
    _unseen,
    _closed,
    _steep,
    _first_step,
    _half,
)
