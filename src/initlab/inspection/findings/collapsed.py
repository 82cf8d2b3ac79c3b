"""Different inputs have become indistinguishable where the output is read."""

from __future__ import annotations

from initlab.inspection.advice import fading_advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.results import Finding
from initlab.reporting.status import Severity

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
    start = next((x for x in e.layers if x.row_share is not None and x.row_share < SEEN), e.layers[-1])
    evidence = f"differences between samples are {share:.1e} of the second moment at the last layer's input"
    return Finding("collapsed", _severity(e, share), start.name, evidence, fading_advice(e))


def _severity(e: Evidence, share: float) -> Severity:
    if e.ajar:
        return "info"  # what gates that open with the first step hide is told only after that
    if share < READOUT_LOST and not e.opening:
        return "error"
    return "warning" if share < READOUT_FAINT else "info"


FINDING = Kind(find)
