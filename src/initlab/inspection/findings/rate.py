"""The learning rate itself: one step of it raises the loss where a smaller one lowers it, or hardly moves it."""

from __future__ import annotations

import math

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.first_loss import SEEN, calms, culprit, excess_of
from initlab.inspection.findings.kind import Kind
from initlab.inspection.line import FLAT, STABLE, Line
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding
from initlab.inspection.trials import with_line
from initlab.reporting.status import Severity

WORTH = 0.01  # decrease of the loss by one step of the best rate, from which another rate is worth naming
BLOWN = 2.0  # loss after one step over the loss before it, from which the rate is a fault and not a choice
# What the best rate along the first step is divided by, to be stable later too. Of ten small networks with a rate that
# was far too large all trained so with Adam in 100 steps, nine with SGD in 400; at a third of it with SGD one blew up.
UNDER = {"sign": 3.0, "sgd": 10.0}
IN_GROUPS = """
first = next(group["lr"] for group in optimizer.param_groups if group["lr"])
for group in optimizer.param_groups:
    group["lr"] *= lr / first"""
PAST, HARDLY = 10.0, 0.1  # the given rate over the best, and what it does of that one's decrease, from which it is told
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
    large = _too_large(e, line)
    if large is not None and _because_of_a_weight(e):
        return None
    return large or (_too_small(e, line) if worth else None)


def _because_of_a_weight(e: Evidence) -> bool:
    """Whether it is right once one weight is at its plan's std: then that weight is the cause, and is named."""
    found = culprit(e) if excess_of(e) >= SEEN else None
    return found is not None and calms(e, found[2])


def _first(e: Evidence) -> tuple[float, float]:
    """(the rate to start with, the best along the first step up to the largest that is stable)."""
    known = with_line(e)
    window = None if known is None else known.window
    assert window is not None
    assert window.best is not None
    best = window.best
    under = max(UNDER["sign"], UNDER[e.step.family] / _steadied(e))
    return float(f"{best / under:.1g}"), best


def _steadied(e: Evidence) -> float:
    """How much more momentum's steps bear than plain ones of the same pace: (1 + m) / (1 - m).

    Plain descent is stable up to a rate of 2 / curvature, heavy-ball descent up to 2 (1 + m) / curvature, where a step
    counts for 1 / (1 - m). Nine models of many kinds, with a momentum of 0.9, all got further in 150 steps at a third
    of the best rate along the first step than at a tenth of it, and none blew up.

    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods", section 2.
    """
    return (1.0 + e.step.momentum) / (1.0 - e.step.momentum)


def _too_large(e: Evidence, line: Line) -> Finding | None:
    """Also one far past the best that hardly lowers the loss, as a loss with bounds need not rise; and one far past all
    that are known to train, of which such a loss may come out at that of a constant answer.
    """
    here = line.at(e.step.lr)
    beyond = line.largest is not None and e.step.lr > line.largest.lr and line.decrease(here) <= FLAT
    past = e.step.lr >= PAST * line.lowest.lr and line.decrease(here) < HARDLY * line.decrease(line.lowest)
    wild = e.step.rate >= PAST * STABLE[e.step.family] and line.decrease(here) < line.decrease(line.lowest)
    if not beyond and not past and not wild:
        return None
    to = f"to {here.loss:.4g}" if math.isfinite(here.loss) else "beyond any number"
    evidence = (
        f"one step at {e.step.lr:g} takes the loss from {line.start:.4g} {to}; at {line.lowest.lr:g} it falls to "
    )
    fault = wild or here.loss > BLOWN * line.start or (past and e.step.lr >= PAST**2 * line.lowest.lr)
    return _finding(e, "warning" if fault else "info", evidence, line)


def _too_small(e: Evidence, line: Line) -> Finding | None:
    here = line.at(e.step.lr)
    if line.lowest.lr < SHORT * e.step.lr or line.decrease(here) > WORTH / 10:
        return None
    evidence = (
        f"one step at {e.step.lr:g} lowers the loss by {line.decrease(here):.1e} of itself; at {line.lowest.lr:g} "
    )
    return _finding(e, "warning", evidence + "it falls to ", line)


def _finding(e: Evidence, severity: Severity, evidence: str, line: Line) -> Finding:
    first, best = _first(e)
    advice = f"Use a learning rate of {first:g}" + (f" to {best:g}" if best > 1.01 * first else "")
    return Finding("rate", severity, "optimizer", f"{evidence}{line.lowest.loss:.4g}", advice)


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    """An optimizer object is given the rate in its groups, each at its share."""
    rate, _ = _first(e)
    code = f"lr = {rate!r}" + (IN_GROUPS if e.step.groups is not None else "")
    return Remedy(f"Use a learning rate of {rate:g}", code, lr=rate)


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
