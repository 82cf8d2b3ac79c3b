"""One weight matrix at another scale than all the others, by what the plan gives each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from initlab.graph.once import once
from initlab.inspection.advice import passed_on, planned_stds
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.first_loss import SEEN, excess_of
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy, drawn_again
from initlab.inspection.results import Finding, ParameterStats
from initlab.inspection.trials import Change, Trial, tried
from initlab.reporting.status import Severity
from initlab.schemes import get_scheme

APART = 10.0  # rms over the plan's std, against the same of the median matrix, from which a matrix stands alone
OVER = 4.0  # rms over the plan's std, under which none is told
ENOUGH = 4  # matrices from which one of them stands alone
MUCH = 0.3  # decrease of the lowest loss along the first step from which it does harm


@dataclass(frozen=True)
class _Alone:
    """The matrix, its plan's std, the median weight's rms over its own, and what came of that std in its place."""

    p: ParameterStats
    std: float
    median: float
    trial: Trial


def find(e: Evidence) -> Finding | None:
    if excess_of(e) >= SEEN or not _suspicious(e):
        return None  # what a high first loss comes from is told with it
    found = _alone(e)
    if found is None:
        return None
    severity: Severity = "warning" if found.trial.gain > MUCH else "info"
    evidence = f"its rms is {found.p.rms / found.std:.3g} times the plan's std, "
    evidence += f"that of the median weight {found.median:.2g} times; with it at std {found.std:.3g} the first loss is "
    evidence += f"{found.trial.loss:.4g} in place of {found.trial.first:.4g}"
    return Finding("outlier", severity, found.p.name, evidence, f"{_words(found)}, as plan does")


def _words(found: _Alone) -> str:
    return f"Draw {found.p.name} with std {found.std:.3g}"


def _suspicious(e: Evidence) -> bool:
    """Whether a matrix passes on far more than the median one, by its size alone: that costs no plan."""
    passed = passed_on(e)
    return len(passed) >= ENOUGH and max(passed) > APART * float(np.median(passed)) > 0


@once
def _alone(e: Evidence) -> _Alone | None:
    """Found once for the finding and its remedy."""
    planned = planned_stds(e)
    if len(planned) < ENOUGH:
        return None
    ratios = [p.rms / std for p, std in planned]
    ratio, median = max(ratios), float(np.median(ratios))
    if ratio < OVER or ratio < APART * median:
        return None
    p, std = planned[ratios.index(ratio)]
    value = e.values[p.name].detach()
    trial = tried(e, Change(f"{p.name} at std {std:.3g}", {p.name: value / ratio}))
    return None if trial is None or trial.harms else _Alone(p, std, median, trial)


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    found = _alone(e)
    if found is None:
        return None
    return drawn_again({found.p.name: get_scheme("normal", std=found.std)}, _words(found))


FINDING = Kind(find, leads=True, yields=True, remedy=remedy)
