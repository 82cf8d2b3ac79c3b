"""A first loss far above that of a constant answer, and the weight that makes it so."""

from __future__ import annotations

import math

from initlab.graph.once import once
from initlab.inspection.advice import drawn, passed_on, planned_stds
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy, drawn_again
from initlab.inspection.results import Finding, ParameterStats
from initlab.inspection.suspects import suspects
from initlab.inspection.trials import Change, Trial, tried
from initlab.planning import PlanEntry
from initlab.reporting.status import Severity
from initlab.schemes import get_scheme

SEEN = 2.5  # first loss over that of a constant answer: of 222 library models as built four lie above
FAR = 10.0  # from which the first steps go into taking it back
LARGE = 1.3  # a weight's rms over its plan's std from which it is tried
MOST = 4  # weights that are tried
PASSES = 4.0  # rms of what a weight makes of inputs of rms one, from which all are tried where no constant is known
LESS = 0.8  # first loss with a weight at its plan's std over that without, from which the weight makes it so


def find(e: Evidence) -> Finding | None:
    excess = excess_of(e)
    if excess < SEEN or e.far_targets or e.seen.answer.spread is not None or any(s.trial.helps for s in suspects(e)):
        return None
    of = "of the best constant answer" if e.outlook.excess is not None else "with every weight at its plan's std"
    base = f"the first loss, {e.seen.loss:.4g}, is {excess:.3g} times that {of}"
    found = culprit(e)
    harms = excess > FAR or (found is not None and calms(e, found[2]))
    severity: Severity = "warning" if harms else "info"
    if found is None and excess <= FAR:
        return None
    if found is None:
        largest = max(e.layers, key=lambda x: x.second_moment if math.isfinite(x.second_moment) else 0.0)
        return Finding("first loss", severity, largest.name, base, "Start the read-out smaller, or warm the rate up")
    p, entry, trial = found
    evidence = f"{base}; with {p.name} at std {entry.std:.3g} it is {trial.loss:.4g}"
    advice = f"Draw {p.name} with std {entry.std:.3g}, as plan does; now its rms is {p.rms:.2g}"
    return Finding("first loss", severity, p.name, evidence, advice)


def calms(e: Evidence, trial: Trial) -> bool:
    """Whether a step at the given rate raises the loss, and with the change lowers it."""
    lines = [e.line, trial.evidence.line]
    if not e.step.given or None in lines:
        return False
    now, then = (line.decrease(line.at(e.step.lr)) for line in lines if line is not None)
    return now < 0 < then


def excess_of(e: Evidence) -> float:
    """First loss over that of the best constant answer, or over that of equal probabilities where that is higher.

    Where that is not known, as of a model's own loss, over the first loss with every weight at its plan's std.
    """
    if e.outlook.excess is None:
        return _over_plan(e)
    excess, answer = e.outlook.excess or 0.0, e.seen.answer
    if answer.classes and answer.output.ndim > 1 and e.seen.constant_loss:
        excess *= e.seen.constant_loss / max(e.seen.constant_loss, math.log(max(2, answer.output.shape[1])))
    return excess


@once
def _over_plan(e: Evidence) -> float:
    """0 where no weight passes on so much more than it reads that a plan is worth its passes, by its size alone."""
    passed = passed_on(e)
    if not passed or max(passed) < PASSES or not math.isfinite(e.seen.loss):
        return 0.0
    values = e.values
    changed = {p.name: values[p.name].detach() * (std / p.rms) for p, std in planned_stds(e) if p.rms > LARGE * std}
    trial = tried(e, Change("every weight at its plan's std", changed)) if changed else None
    return e.seen.loss / trial.loss if trial is not None and trial.loss > 0 else 0.0


@once
def culprit(e: Evidence) -> tuple[ParameterStats, PlanEntry, Trial] | None:
    """The weight whose plan's std lowers the first loss most; None where none lowers it by a fifth."""
    values = e.values
    off = []
    for p in e.matrices:
        entry = drawn(e, p)
        if entry is not None and entry.std and p.rms > LARGE * entry.std:
            off.append((p.rms / entry.std, p, entry))
    best: tuple[ParameterStats, PlanEntry, Trial] | None = None
    for ratio, p, entry in sorted(off, key=lambda item: -item[0])[:MOST]:
        trial = tried(e, Change(f"{p.name} at std {entry.std:.3g}", {p.name: values[p.name].detach() / ratio}))
        if trial is not None and trial.loss < (LESS * e.seen.loss if best is None else best[2].loss):
            best = p, entry, trial
    return best


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    found = culprit(e)
    if found is None or not found[1].std:
        return None
    p, entry, _ = found
    return drawn_again({p.name: get_scheme("normal", std=entry.std)}, f"Draw {p.name} with std {entry.std:.3g}")


FINDING = Kind(find, leads=True, yields=True, remedy=remedy)
