"""Units that are off for every sample of the batch, although something arrives at them."""

from __future__ import annotations

from initlab.inspection.advice import advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.recorder import Record
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity

SEEN = 0.5  # share of a layer's units from which it is told
MANY = 0.9  # share from which it slows training
FEW = 8  # units under which all may be off by chance, as in the squeeze of a small squeeze-and-excitation


def find(e: Evidence) -> Finding | None:
    pairs = zip(e.layers, e.seen.records, strict=True)
    told = [x for x, record in pairs if not _by_chance(e, record) and not _reads_nothing(e, record)]
    worst = max((x for x in told if x.dead is not None), key=lambda x: x.dead or 0.0, default=None)
    if worst is None or (worst.dead or 0.0) < SEEN:
        return None
    first = next(x for x in told if (x.dead or 0.0) >= SEEN)
    evidence = f"{first.dead:.0%} of its units are off for every sample"
    if worst is not first:
        evidence += f"; {worst.dead:.0%} at {worst.name}"
    return Finding(
        "dead",
        _severity(e, worst.dead or 0.0),
        first.name,
        evidence,
        advice(e, "Start biases at zero or above", at=first.index),
    )


def _by_chance(e: Evidence, record: Record) -> bool:
    """Whether it has few units, and the signal goes round it."""
    return e.bypassed and bool(record.shape) and record.shape[record.axis] < FEW


def _reads_nothing(e: Evidence, record: Record) -> bool:
    """Whether what it reads is zero for every sample, as behind a branch that begins at zero: no bias turns it off."""
    return record.origin >= 0 and e.layers[record.origin].second_moment == 0


def _severity(e: Evidence, share: float) -> Severity:
    if share == 1.0:
        return "warning" if e.bypassed else "error"
    return "warning" if share >= MANY else "info"


FINDING = Kind(find)
