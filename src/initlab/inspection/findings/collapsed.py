"""Different inputs have become indistinguishable where the output is read."""

from __future__ import annotations

from initlab.inspection.advice import fading_advice, random_advice, would_draw
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.recorder import Record
from initlab.inspection.remedy import Remedy, drawn_again
from initlab.inspection.results import Finding, ParameterStats
from initlab.reporting.status import Severity
from initlab.schemes import get_scheme

# Set on starts of small networks that were trained, and on nothing else.
READOUT_LOST = 1e-11  # between-sample share at the last layer that single precision cannot tell from rounding
READOUT_FAINT = 3e-8  # share that an optimizer needs hundreds of steps to make out
SEEN = 100 * READOUT_FAINT  # share that is worth telling


def find(e: Evidence) -> Finding | None:
    readout = e.readout
    if e.batch is None or e.batch < 2 or not e.layers or e.alike or readout is None or readout.input_second == 0:
        return None
    share = readout.input_row_share
    if share is None or share >= SEEN:
        return None
    evidence = f"differences between samples are {share:.1e} of the second moment at the last layer's input"
    zero = _zero(e)
    if zero is not None:
        evidence += f": {zero.name} is zero"
        return Finding("collapsed", _severity(e, share, zero), zero.name, evidence, random_advice(e, zero))
    start = next((x for x in e.layers if x.row_share is not None and x.row_share < SEEN), e.layers[-1])
    return Finding("collapsed", _severity(e, share), start.name, evidence, fading_advice(e, at=start.index))


def _zero(e: Evidence) -> ParameterStats | None:
    """The weight of zeros that loses what tells samples apart on the way to the read-out; None where none does."""
    record: Record | None = e.readout
    while record is not None and record.origin >= 0 and not _varies(record.input_row_share):
        record = e.seen.records[record.origin]
    if record is None or not _varies(record.input_row_share) or _varies(e.layers[record.index].row_share):
        return None
    own = (p for p in e.parameters if p.name in record.parameters and len(p.shape) > 1 and p.trainable)
    return next((p for p in own if p.rms == 0), None)


def _varies(share: float | None) -> bool:
    return share is not None and share >= SEEN


def _severity(e: Evidence, share: float, zero: ParameterStats | None = None) -> Severity:
    if e.ajar or (zero is not None and zero.grad_rms and e.step.sign_like):
        return "info"  # what opens with the first step, and at full size, hides the rest until then alone
    if share < READOUT_LOST and not e.opening:
        return "error"
    return "warning" if share < READOUT_FAINT else "info"


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    zero = _zero(e)
    std = would_draw(e, zero)[0] if zero is not None else None
    if zero is None or not std:
        return None
    return drawn_again({zero.name: get_scheme("normal", std=std)}, f"Draw {zero.name} with std {std:.3g}")


FINDING = Kind(find, remedy=remedy)
