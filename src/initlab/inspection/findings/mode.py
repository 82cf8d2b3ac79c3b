"""Dropout or batch norm in a mode that does not fit: drops in evaluation, or statistics that were never taken."""

from __future__ import annotations

from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from initlab.guest.modules import in_mode
from initlab.guest.run import hosted
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.passes import recorded
from initlab.inspection.remedy import Remedy, set_to
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity

MOST = 0.9  # share of a layer that dropout takes, from which hardly a signal is left
USUAL = 0.1  # Vaswani et al. 2017, section 5.4


def _never_taken(e: Evidence) -> Finding | None:
    """Batch norm that evaluates with the statistics it was made with, while the model trains."""
    if not e.model.training:
        return None
    for name, module in e.model.named_modules():
        if not isinstance(module, _BatchNorm) or module.training or not _fresh(module):
            continue
        if _trained(module):
            evidence = "it is in evaluation mode with the statistics it was made with (mean 0, variance 1)"
            advice = "Call model.train() before training, so that it normalizes by the batch"
            return Finding("mode", "warning", name, f"{evidence}: it normalizes nothing", advice)
    return None


def _left_in_evaluation(e: Evidence) -> Finding | None:
    """A model in evaluation mode as a whole with such a norm; dropout alone, or statistics that were taken, do no harm.

    A remark: it is judged in training mode, and a loop that calls model.train() makes up for it.
    """
    norms = {name: module for name, module in e.model.named_modules() if isinstance(module, _BatchNorm)}
    off = [name for name, module in norms.items() if not module.training and _fresh(module) and _trained(module)]
    if e.model.training or not off:
        return None
    evidence = (
        f"the model is in evaluation mode, in which {len(off)} batch norms normalize nothing (mean 0, variance 1)"
    )
    return Finding("mode", "info", off[0], evidence, "Call model.train() before training")


def _trained(norm: _BatchNorm) -> bool:
    return any(p.requires_grad for p in norm.parameters(recurse=False))


def _fresh(norm: _BatchNorm) -> bool:
    """Whether its running statistics were never taken."""
    mean, variance = norm.running_mean, norm.running_var
    return mean is not None and variance is not None and not bool(mean.any()) and bool(variance.eq(1).all())


def _always_drops(e: Evidence) -> Finding | None:
    parts = dict(e.model.named_modules())  # get_submodule is not for scripted ones
    written = [d for d in e.seen.events.drops if not isinstance(parts[d.module], _DropoutNd)]
    if not written:
        return None
    args, kwargs = ((), e.inputs) if isinstance(e.inputs, dict) else (e.inputs, {})
    with hosted(e.model, seed=0):
        in_mode(e.model, False)
        if e.model.training:  # an exported one, whose code says in which mode it is
            return None
        _, recorder = recorded(e.model, args, kwargs, e.batch)
    for drop in recorder.events.drops:
        evidence = f"dropout({drop.share:g}) is called without training=self.training: it drops in evaluation too"
        return Finding("mode", "info", drop.module or "the model", evidence, "Pass training=self.training")
    return None


def _drops_most(e: Evidence) -> Finding | None:
    worst = max(e.seen.events.drops, key=lambda drop: drop.share, default=None)
    if worst is None or worst.share < MOST:
        return None
    evidence = f"dropout takes {worst.share:.0%} of the signal"
    where = worst.module or "the model"
    severity: Severity = "error" if worst.share == 1 else "warning"
    return Finding("mode", severity, where, evidence, "Drop less: 0.1 to 0.5 is usual")


def _drops_nothing(e: Evidence) -> Finding | None:
    """Dropout in evaluation mode inside a model that trains, where the rest of its part trains too."""
    if not e.model.training:
        return None
    parts = dict(e.model.named_modules())
    for name, module in parts.items():
        parent = parts[name.rpartition(".")[0]]
        if isinstance(module, _DropoutNd) and module.p > 0 and not module.training and parent.training:
            evidence = "it is in evaluation mode in a model that is in training mode: it drops nothing"
            return Finding("mode", "info", name, evidence, "Call model.train() before training")
    return None


def _drop_less(e: Evidence, finding: Finding) -> Remedy:
    """Dropout modules that take nearly everything, set to a usual share; only said where another's code drops."""
    most = list(dict.fromkeys(drop.module for drop in e.seen.events.drops if drop.share >= MOST))
    if not all(isinstance(e.model.get_submodule(name), _DropoutNd) for name in most):
        return _there(e, finding)
    return set_to(USUAL, most, "p", f"Drop less in {finding.where}: {USUAL:g}")


def _there(e: Evidence, finding: Finding) -> Remedy:
    return Remedy(f"{finding.advice} in {finding.where}")


def _train(e: Evidence, finding: Finding) -> Remedy:
    return Remedy(finding.advice, "model.train()", prepare=lambda model: model.train())


FINDING = (
    Kind(_never_taken, survives=True, leads=True, remedy=_train),
    Kind(_left_in_evaluation, survives=True, leads=True, remedy=_train),
    Kind(_always_drops, survives=True, leads=True, remedy=_there),
    Kind(_drops_most, survives=True, leads=True, remedy=_drop_less),
    Kind(_drops_nothing, survives=True, leads=True, remedy=_train),
)
