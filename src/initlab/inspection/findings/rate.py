"""The learning rate itself: one step of it raises the loss where a smaller one lowers it, or hardly moves it."""

from __future__ import annotations

import math

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.line import FLAT, Line
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding
from initlab.inspection.trials import with_line
from initlab.reporting.status import Severity

WORTH = 0.01  # decrease of the loss by one step of the best rate, from which another rate is worth naming
BLOWN = 2.0  # loss after one step over the loss before it, from which the rate is a fault and not a choice
SHORT = 1e3  # the best rate over the given one, from which that is far too small


def find(e: Evidence) -> Finding | None:
    if not e.step.given:
        return None
    known = with_line(e)
    line = None if known is None else known.line
    if line is None or line.largest is None:
        return None
    worth = line.decrease(line.lowest) >= WORTH
    if not worth and not line.at(e.step.lr).loss > BLOWN * line.start:
        return None
    return _too_large(e, line) or (_too_small(e, line) if worth else None)


def _too_large(e: Evidence, line: Line) -> Finding | None:
    here = line.at(e.step.lr)
    if line.largest is None or e.step.lr <= line.largest.lr or line.decrease(here) > FLAT:
        return None
    to = f"to {here.loss:.4g}" if math.isfinite(here.loss) else "beyond any number"
    evidence = (
        f"one step at {e.step.lr:g} takes the loss from {line.start:.4g} {to}; at {line.lowest.lr:g} it falls to "
    )
    return _finding("warning" if here.loss > BLOWN * line.start else "info", evidence, line)


def _too_small(e: Evidence, line: Line) -> Finding | None:
    here = line.at(e.step.lr)
    if line.lowest.lr < SHORT * e.step.lr or line.decrease(here) > WORTH / 10:
        return None
    evidence = (
        f"one step at {e.step.lr:g} lowers the loss by {line.decrease(here):.1e} of itself; at {line.lowest.lr:g} "
    )
    return _finding("warning", evidence + "it falls to ", line)


def _finding(severity: Severity, evidence: str, line: Line) -> Finding:
    advice = f"Use a learning rate of {line.lowest.lr / 10:g} to {line.lowest.lr:g}"
    return Finding("rate", severity, "optimizer", f"{evidence}{line.lowest.loss:.4g}", advice)


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    known = with_line(e)
    if known is None or known.line is None:
        return None
    rate = known.line.lowest.lr / 10
    return Remedy(f"Use a learning rate of {rate:g}", f"lr = {rate!r}", lr=rate)


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
