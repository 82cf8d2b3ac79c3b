"""A first step that overshoots, or a first loss far above that of a constant prediction."""

from __future__ import annotations

import math

from initlab.inspection.advice import scale_advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.findings.rate import WORTH
from initlab.inspection.line import FLAT, Line
from initlab.inspection.results import Finding, LayerStats
from initlab.reporting.status import Severity

# Set on starts of small networks that were trained, and on nothing else.
EXCESS_LOST = 1e4  # first loss over the best constant prediction's: too far to come back in a short training
EXCESS_SEEN = 3.0  # excess that is no longer the ordinary spread of first outputs
EXCESS_STEPS = 110.0  # steps to bring a smaller excess down, from which a start counts as slow
EXCESS_NEVER = 180.0  # from which it counts as not training, if the excess is tenfold
TENFOLD = 10.0


def find(e: Evidence) -> Finding | None:
    outlook, excess = e.outlook, e.outlook.excess or 0.0
    if e.far_targets:
        return None
    unsteady = _overshoots(e)
    lost = _lost(e, excess)
    if not lost and not unsteady and (outlook.excess_steps <= EXCESS_STEPS or excess < EXCESS_SEEN):
        return None
    parts = []
    if unsteady:
        parts.append(_overshoot(e))
    if excess > 1.5:
        parts.append(f"the first loss is {excess:.3g} times that of the best constant prediction")
    grown = _largest(e)
    if grown is not None:
        parts.append(f"the signal's rms reaches {grown.second_moment**0.5:.2g} at {grown.name}")
    severity: Severity = "error" if lost else "warning"
    where = _growth_start(e) or (grown.name if grown else "the model")
    return Finding("exploding", severity, where, "; ".join(parts), scale_advice(e))


def _lost(e: Evidence, excess: float) -> bool:
    far = excess > EXCESS_LOST or (excess > TENFOLD and e.outlook.excess_steps > EXCESS_NEVER)
    return far or _overshoots(e)


def _overshoots(e: Evidence) -> bool:
    """Whether the first step raises the loss; not told where the line was not taken, as what the step promises to first
    order grows with the number of parameters and says nothing of curvature.
    """
    return e.line is not None and e.line.decrease(e.line.at(e.step.lr)) < -FLAT and not _by_rate(e, e.line)


def _by_rate(e: Evidence, line: Line) -> bool:
    """Whether another rate than the given one is all that it takes: that is the rate's own finding."""
    return e.step.given and line.decrease(line.lowest) >= WORTH


def _overshoot(e: Evidence) -> str:
    assert e.line is not None
    after = e.line.at(e.step.lr).loss
    return f"the first step overshoots: at lr {e.step.lr:g} the loss goes from {e.line.start:.3g} to {after:.3g}"


def _largest(e: Evidence) -> LayerStats | None:
    finite = [x for x in e.layers if math.isfinite(x.second_moment)]
    return max(finite, key=lambda x: x.second_moment, default=None)


def _growth_start(e: Evidence) -> str | None:
    """The first layer whose signal is ten times that of the first layer's input scale."""
    return next((x.name for x in e.layers if math.isfinite(x.second_moment) and x.second_moment > 100.0), None)


FINDING = Kind(find, survives=True)
