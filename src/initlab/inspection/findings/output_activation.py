"""The function at the output does not fit what the loss takes: logits, log-probabilities or probabilities."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from initlab.guest.doubles import doubled
from initlab.inspection.advice import drawn
from initlab.inspection.answer import Answer
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy, drawn_again
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity
from initlab.schemes import get_scheme

LOGITS = ("cross_entropy", "bce_with_logits")
LOG_PROBABILITIES = ("nll", "kl")
# Functions that keep an output from being any logit; a log_softmax before a cross-entropy changes nothing.
BOUNDED = ("softmax", "sigmoid", "hardsigmoid", "tanh", "hardtanh", "relu", "softplus", "elu", "gelu", "silu", "mish",
           "logsigmoid")  # fmt: skip
_TORCH = (F.cross_entropy, F.nll_loss, F.binary_cross_entropy_with_logits)
_OWN = "given = loss\nloss = lambda output, targets: given({}, targets)"


def _one_unit(e: Evidence) -> Finding | None:
    """A softmax over one number is 1, its logarithm 0, whatever the number."""
    answer = e.seen.answer
    units = [r for r in e.seen.records if r.kind == "softmax" and r.index == len(e.seen.records) - 1]
    alone = any(r.moments.mean == 1 and r.moments.std == 0 for r in units)  # over whatever axis: all are 1
    classes = answer.class_targets
    lone = answer.loss == "cross_entropy" and classes is not None and answer.output.shape[1:2] == (1,)
    if not (alone or lone or (answer.activation == "log_softmax" and answer.output.shape[1:2] == (1,))):
        return None
    evidence = "a softmax over one unit gives 1 whatever the unit says, so that no gradient comes back"
    return _finding(e, "error", evidence, "Use one logit with binary_cross_entropy_with_logits, or one output a class")


def _no_logits(e: Evidence) -> Finding | None:
    answer = e.seen.answer
    if answer.loss not in LOGITS or answer.activation not in BOUNDED:
        return None
    takes = "cross-entropy" if answer.loss == "cross_entropy" else "binary cross-entropy with logits"
    evidence = f"the output is made by {answer.activation} and lies in {_range(answer)}, {takes} takes logits"
    advice = f"Take the {answer.activation} away: the loss has its own softmax"
    if answer.loss == "bce_with_logits":
        advice = f"Take the {answer.activation} away: the loss has its own sigmoid"
    return _finding(e, "warning", evidence, advice)


def _no_log_probabilities(e: Evidence) -> Finding | None:
    answer, axis = e.seen.answer, _classes_along(e.seen.answer)
    if axis is None or bool((doubled(answer.output).logsumexp(axis).abs() < 1e-2).all()):
        return None
    what = "negative log-likelihood" if answer.loss == "nll" else "Kullback and Leibler's divergence"
    if answer.activation == "softmax":
        evidence, advice = f"the output is probabilities, {what} takes their logarithm", "log_softmax"
        return _finding(e, "warning", evidence, f"Use {advice} in place of softmax")
    evidence = f"the output lies in {_range(answer)} and is no log-probability, which {what} takes"
    cross = "Use cross_entropy, or end" if answer.loss == "nll" else "End"
    return _finding(e, "warning", evidence, f"{cross} the model in log_softmax")


def _classes_along(answer: Answer) -> int | None:
    """The axis along which a loss takes log-probabilities; None where it takes none, or not along one axis."""
    if answer.output.ndim < 2 or answer.loss not in LOG_PROBABILITIES:
        return None
    if answer.loss == "nll":
        whole = answer.class_targets is None or answer.targets.ndim == answer.output.ndim - 1
        return 1 if whole else answer.output.ndim - 1
    targets = answer.targets
    if not isinstance(targets, torch.Tensor) or targets.shape != answer.output.shape or targets.is_complex():
        return None
    shares = doubled(targets) if bool((targets >= 0).all()) else doubled(targets).exp()
    return next((axis for axis in (1, shares.ndim - 1) if bool(((shares.sum(axis) - 1).abs() < 1e-2).all())), None)


def _off(e: Evidence) -> Finding | None:
    """A function at the output that is off, or flat, for every sample."""
    answer = e.seen.answer
    last = next((x for x in reversed(e.layers) if x.activation and x.kind == answer.activation), None)
    if last is None or (e.batch or 0) < 2 or last.index != len(e.layers) - 1:
        return None
    if answer.activation == "relu" and not bool(answer.output.any()):
        evidence = "it is off for every sample, so that the output is 0 and no gradient comes back"
    elif (last.saturated or 0.0) > 0.99 and answer.activation not in ("softmax", "relu"):
        evidence = f"{last.saturated:.0%} of the outputs lie where {answer.activation} is flat"
    else:
        return None
    off = answer.activation == "relu"  # a relu of zero passes no gradient back either
    start = "at the mean of the targets, above zero" if off else "at zero"
    advice = f"Leave the function at the output out, or start the last bias {start}"
    return Finding("output activation", "error" if off else "warning", last.name, evidence, advice)


def _range(answer: Answer) -> str:
    return f"[{float(answer.output.min()):.3g}, {float(answer.output.max()):.3g}]"


def _finding(e: Evidence, severity: Severity, evidence: str, advice: str) -> Finding:
    """Placed at the layer that made the output, where that is known."""
    made = next((x.name for x in reversed(e.layers) if x.kind == e.seen.answer.activation), "output")
    return Finding("output activation", severity, made, evidence, advice)


def log_of_probabilities(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of probabilities: the negative log-likelihood of their logarithm."""
    return F.nll_loss(output.clamp_min(torch.finfo(output.dtype).tiny).log(), targets)


def _after(change: Callable[[torch.Tensor], torch.Tensor], loss: Callable[..., Any]) -> Callable[..., Any]:
    """A loss of the user's own, which may reshape what it takes, on what `change` makes of the output."""
    return lambda output, targets: loss(change(output), targets)


def _opened(e: Evidence) -> Remedy | None:
    """The read-out before a relu that is off, drawn as the plan does about the targets' mean."""
    targets, readout = e.seen.answer.real_targets, e.readout
    if e.seen.answer.activation != "relu" or targets is None or not readout:
        return None
    mean = float(f"{float(targets.mean()):.4g}")
    biases = [name for name in readout.parameters if name in e.biases]
    if not biases or not mean > 0:
        return None
    own = [p for p in e.parameters if p.name in readout.parameters and p.name not in biases]
    weights = {p.name: get_scheme("normal", std=entry.std) for p in own if (entry := drawn(e, p)) is not None}
    policy = weights | dict.fromkeys(biases, get_scheme("constant", value=mean))
    return drawn_again(policy, f"Start {biases[0]} at the mean of the targets, {mean:g}, and its weight as plan does")


def _logarithms(answer: Answer) -> Remedy:
    """A divergence of the logarithm of what the model gives as probabilities, or of logits as probabilities."""
    if answer.activation == "softmax":
        words = "Take the logarithm of the probabilities in the loss (or end the model in log_softmax)"
        made = _after(lambda output: output.clamp_min(1e-38).log(), answer.function)
        return Remedy(words, _OWN.format("output.clamp_min(1e-38).log()"), loss=made)
    axis = _classes_along(answer)
    assert axis is not None
    words = "Take the log_softmax of the output in the loss (or end the model in it)"
    made = _after(lambda output: output.log_softmax(axis), answer.function)
    return Remedy(words, _OWN.format(f"output.log_softmax({axis})"), loss=made)


def _another_loss(e: Evidence, finding: Finding) -> Remedy:
    """Another loss where one takes what the output is; else the model's code has to change."""
    answer = e.seen.answer
    first = "import torch.nn.functional as F\nloss = "
    own = answer.function if inspect.isfunction(answer.function) and answer.function not in _TORCH else None
    if answer.activation == "softmax" and answer.loss in ("cross_entropy", "nll") and answer.output.shape[1:2] != (1,):
        words = "Take the logarithm of the probabilities in the loss (or take the softmax away)"
        if own is not None:
            made = _after(lambda output: output.clamp_min(1e-38).log(), own)
            return Remedy(words, _OWN.format("output.clamp_min(1e-38).log()"), loss=made)
        code = "lambda output, targets: F.nll_loss(output.clamp_min(1e-38).log(), targets)"
        return Remedy(words, first + code, loss=log_of_probabilities)
    if answer.activation == "sigmoid" and answer.loss == "bce_with_logits":
        words = "Use binary_cross_entropy, which takes probabilities (or take the sigmoid away)"
        if own is not None:
            words = "Take the logit of the probabilities in the loss (or take the sigmoid away)"
            made = _after(lambda output: output.logit(1e-7), own)
            return Remedy(words, _OWN.format("output.logit(1e-7)"), loss=made)
        return Remedy(words, f"{first}F.binary_cross_entropy", loss=F.binary_cross_entropy)
    if answer.loss == "kl" and callable(answer.function):
        return _logarithms(answer)
    if answer.loss == "nll" and not answer.activation:
        return Remedy("Use cross_entropy, which takes logits", f"{first}F.cross_entropy", loss=F.cross_entropy)
    return Remedy(finding.advice)


def _on_again(e: Evidence, finding: Finding) -> Remedy:
    return _opened(e) or _another_loss(e, finding)


FINDING = (
    Kind(_one_unit, survives=True, leads=True, remedy=_another_loss),
    Kind(_no_logits, survives=True, leads=True, remedy=_another_loss),
    Kind(_no_log_probabilities, survives=True, leads=True, remedy=_another_loss),
    Kind(_off, survives=True, leads=True, remedy=_on_again),
)
