"""Targets that the output cannot reach, that are all the same, or that are far from the size of the output."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from initlab.guest.doubles import doubled
from initlab.inspection.evidence import SMALL_TARGETS, Evidence
from initlab.inspection.findings.kind import Kind, advised
from initlab.inspection.remedy import STANDARDIZED, Remedy, standardized
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity

Tensor = torch.Tensor

# Where the function at the output can go.
REACH = {"softmax": (0.0, 1.0), "sigmoid": (0.0, 1.0), "hardsigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0),
         "hardtanh": (-1.0, 1.0), "relu": (0.0, math.inf), "softplus": (0.0, math.inf)}  # fmt: skip
SLACK = 1e-3  # beyond the reach, over its size: rounding, and the last hair of a sigmoid
MANY = 0.05  # share of targets out of reach from which training is held up
LARGE = 10.0  # rms of targets above which they are not standardized
FAR = 10.0  # targets over outputs, or the reverse: no start is that far from standardized targets by chance
EXCESS_FAR = 100.0  # first loss over the best constant prediction's, when the targets' mean is 10 deviations away
STANDARDIZE = "Standardize the targets: take off their mean, divide by their standard deviation, and undo it after"


def _out_of_reach(e: Evidence) -> Finding | None:
    answer, targets = e.compared, e.compared.real_targets
    if targets is None or not (answer.elementwise or answer.binary):
        return None
    reach = (0.0, 1.0) if answer.binary else REACH.get(answer.activation)
    if reach is None:
        return None
    low, high = reach
    share = float(((targets < low - SLACK) | (targets > high + SLACK)).float().mean())
    if share == 0:
        return None
    what = "binary cross-entropy" if answer.binary else f"{answer.activation} at the output"
    evidence = f"{share:.0%} of them, from {float(targets.min()):.3g} to {float(targets.max()):.3g}, lie outside "
    evidence += f"[{low:g}, {high:g}], where {what} can go"
    advice = f"Bring the targets into [{low:g}, {high:g}]"
    if not answer.binary:
        advice = f"Leave the {answer.activation} out, or b" + advice[1:]
    return _finding("warning" if share > MANY else "info", evidence, advice)


def _far(e: Evidence) -> Finding | None:
    excess = e.outlook.excess or 0.0
    if excess <= EXCESS_FAR or not e.far_targets:
        return None
    spread = math.sqrt(e.seen.offset / e.seen.loss * excess)
    evidence = f"their mean lies {spread:.3g} standard deviations of the targets from the first outputs"
    return _finding("warning", evidence, f"{STANDARDIZE}; or start the last bias at their mean")


def _size(e: Evidence) -> Finding | None:
    answer, targets = e.compared, e.compared.real_targets
    if targets is None or not answer.elementwise or answer.activation in REACH:
        return None
    size, output = _rms(targets), _rms(answer.output)
    large = size > LARGE and output < size / FAR
    small = 0 < size < SMALL_TARGETS and output > size * FAR
    if not large and not small:
        return None
    evidence = f"their rms is {size:.3g}, that of the first outputs {output:.3g}"
    far = size > LARGE**2 or ((small or e.far_targets) and (e.outlook.excess or 0.0) > EXCESS_FAR)
    return _finding("warning" if far else "info", evidence, STANDARDIZE)


def _columns(e: Evidence) -> Finding | None:
    """One output on a far larger scale than another has all of the loss."""
    answer, targets = e.compared, e.compared.real_targets
    if targets is None or not answer.elementwise or targets.ndim != 2 or (e.batch or 0) < 2:
        return None
    spread = doubled(targets).std(0, correction=0)
    varied = spread[spread > 0]
    if varied.numel() < 2 or float(varied.max()) < LARGE**2 * float(varied.min()) or float(varied.max()) <= 1:
        return None
    evidence = f"their standard deviations go from {float(varied.min()):.3g} to {float(varied.max()):.3g}: the largest"
    return _finding("info", evidence + " have all of the loss", STANDARDIZE)


def _constant(e: Evidence) -> Finding | None:
    targets = e.own_targets
    if not isinstance(targets, Tensor) or targets.numel() < 8 or targets.ndim == 0 or targets.is_complex():
        return None
    if e.seen.answer.classes and e.seen.answer.output.shape[1:2] == (1,):
        return None  # one class is all that such a head has
    if e.seen.answer.loss == "other" and e.seen.output_path != "output":
        return None  # one of several outputs: a loss that ranks them has no targets to differ
    if targets.layout != torch.strided or not bool((targets == targets[:1]).all()) or targets.shape[0] < 8:
        return None
    first = targets.reshape(targets.shape[0], -1)[0]
    value = f" ({float(first[0]):.4g})" if first.numel() == 1 else ""
    evidence = f"every sample has the same{value}: a constant answer is right"
    return _finding("info", evidence, "Give a batch whose targets differ")


def _rms(values: Tensor) -> float:
    finite = doubled(values[torch.isfinite(values)])
    return float(finite.square().mean().sqrt()) if finite.numel() else math.nan


def _finding(severity: Severity, evidence: str, advice: str) -> Finding:
    return Finding("targets", severity, "targets", evidence, advice)


def _standardize(e: Evidence, finding: Finding) -> Remedy:
    """What a model takes as targets among its inputs is its caller's to change."""
    if e.seen.answer.targets is None:
        return advised(e, finding)
    if e.seen.answer.targets.is_floating_point():
        return Remedy(STANDARDIZE, f"{STANDARDIZED}\ntargets = standardized(targets)", targets=standardized)
    code = f"{STANDARDIZED}\ntargets = standardized(targets.float())"
    return Remedy(STANDARDIZE, code, targets=lambda targets: standardized(targets.float()))


def _paired(find: Callable[[Evidence], Finding | None]) -> Callable[[Evidence], Finding | None]:
    """Asked only where each target meets one output: what broadcasting does to the rest is another finding."""
    return lambda e: None if e.seen.answer.spread is not None else find(e)


FINDING = (
    Kind(_paired(_out_of_reach), leads=True, remedy=advised),
    Kind(_paired(_size), leads=True, remedy=_standardize),
    Kind(_paired(_far), leads=True, remedy=_standardize),
    Kind(_paired(_columns), leads=True, remedy=_standardize),
    Kind(_paired(_constant), leads=True, remedy=advised),
)
