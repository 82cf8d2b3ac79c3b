"""Trainable parameters that are used and no gradient reaches: a part under no_grad or detached, a loss that cuts."""

from __future__ import annotations

import math

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind, advised
from initlab.inspection.recorder import Record
from initlab.inspection.results import Finding, ParameterStats
from initlab.reporting.status import Severity

NAMES = {"__get__": ".data", "detach_": "detach"}


def find(e: Evidence) -> Finding | None:
    return _in_loss(e) or _in_model(e)


def _in_loss(e: Evidence) -> Finding | None:
    """The loss makes a plain number of an output through which a gradient could flow."""
    if e.seen.graded:
        return None
    evidence = "the output carries a gradient and the loss carries none, so that no parameter gets one"
    advice = "Compute the loss from the output's own tensor: no .item(), detach, argmax or new tensor on the way"
    return Finding("cut off", "error", "loss", evidence, advice)


def _in_model(e: Evidence) -> Finding | None:
    lost = [p for p in e.parameters if p.trainable and p.grad_rms is None and p.layer is not None]
    without = [p for p in lost if not _used(e, p).attached]
    before = [p for p in lost if p not in without and _cut_after(e, _used(e, p)) is not None]
    if not without and not before:
        return None
    cut = without or before
    record = _used(e, cut[0])
    numbers = sum(math.prod(p.shape) for p in cut)
    share = numbers / max(1, sum(math.prod(p.shape) for p in e.parameters if p.trainable))
    how = "it runs under no_grad" if without else f"{_cut_after(e, record)} cuts the way back"
    evidence = (
        f"{how}, so that {len(cut)} parameters ({share:.0%} of the weights), {cut[0].name} first, get no gradient"
    )
    advice = "Let the gradient through, or set requires_grad=False there if that part is to stay as it is"
    severity: Severity = "warning" if any(p.grad_rms is not None for p in e.parameters) else "error"
    return Finding("cut off", severity, e.layers[record.index].name, evidence, advice)


def _used(e: Evidence, p: ParameterStats) -> Record:
    assert p.layer is not None
    return e.seen.records[p.layer]


def _cut_after(e: Evidence, record: Record) -> str | None:
    """The call that cuts what `record` gives, with its module."""
    for cut in e.seen.events.cuts:
        if cut.origin >= record.index:
            where = f" in {cut.module}" if cut.module else ""
            return f"{NAMES.get(cut.function, cut.function)}{where}"
    return None


FINDING = Kind(find, survives=True, leads=True, remedy=advised)
