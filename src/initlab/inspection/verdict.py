"""The verdict: how likely training is to get going, from what was measured at step zero and calibrated on trainings.

Three facts settle it where they hold; else the calibrated trees weigh the numbers of `features`, and where these leave
it open a few real steps may tell. The thresholds of the words stand in the calibration, beside the trees that they
belong to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from initlab.errors import InputError
from initlab.inspection.evidence import Evidence
from initlab.inspection.features import FEATURES, Feature, features_of
from initlab.inspection.features.feature import FLOOR
from initlab.inspection.half import breaks
from initlab.inspection.line import STABLE, STILL
from initlab.inspection.outweighed import outweighed
from initlab.inspection.probe import gets_going
from initlab.inspection.results import Finding, Verdict
from initlab.inspection.trees import Calibration, Ensemble, calibration
from initlab.inspection.trials import Change, measured
from initlab.reporting import format_number

TOLD = 3  # numbers that a verdict names
ALIKE = 1e-8  # rms of the centred outputs' movement, under which the best first step does not part samples
ROUNDING = 1e-6  # movement of the outputs that single precision cannot tell from none
OVERSHOOT = 7.0  # decades over the first loss, where the largest rate takes it
UNDER = 0.1  # of Adam's eps: the median gradient, from which down it takes no step of full size
# Of 15 networks whose decay outweighed the loss 14 did not train; of recorded cells that trees left open none of 21 did
# whose real steps at a given rate left no number, and 26 of 27 whose steps got going. By Laplace's rule.
LOST, BLOWN, STUCK = 0.88, 0.96, 0.07
PULLED = "weight decay takes the weights to zero before the loss can hold them"
HARDLY = 2e-4  # decrease of the loss, under which that step hardly lowers it


@dataclass(frozen=True)
class Judgement:
    """The verdict, the probability of each word, and what moved it, in words."""

    verdict: Verdict
    probability: dict[str, float]
    because: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """Something that settles the verdict: what holds of the features, and its words."""

    holds: Callable[[Mapping[str, float]], bool]
    words: str


def _flat(x: Mapping[str, float]) -> bool:
    """Whether no rate moves the loss either way; a rate that was not tried is not known, a decade of another family."""
    return not any(abs(x[f"decrease {i}"]) > STILL for i in range(1, 7))


def _hardly_falls(x: Mapping[str, float]) -> bool:
    """Whether the best first step leaves both the outputs and the loss where they are."""
    # Not behind norms: they divide out how small weights are, which then grow by more than themselves in a step.
    # Nor where Adam steps at full size: weights grow by the rate in each step, however faint the signal is.
    return (
        not x["normalised"]
        and x["moved"] < math.log10(ALIKE)
        and x["decrease"] < HARDLY
        and (not x["sign"] or x["over eps"] < math.log10(UNDER))
    )


def _falls_alike(x: Mapping[str, float]) -> bool:
    """Whether every rate moves the outputs of all samples alike, up to rounding, while weights get no gradient at all.

    What differs between samples then ends where units are off or saturated. Biases behind that place lower the loss to
    that of a constant answer; nothing before it moves, at this step or later. A weight of zeros could open, so there
    must be none.
    """
    tried = [moved for i in range(1, 7) if math.isfinite(moved := x[f"moved {i}"])]
    alike = bool(tried) and max(tried) < math.log10(ROUNDING) and x["apart"] < ROUNDING
    return alike and x["unmoved"] > 0 and x["least gain"] > FLOOR


FACTS: dict[str, Fact] = {
    "no gradient": Fact(lambda x: x["unmoved"] == 1.0, "no weight matrix gets a gradient"),
    "one answer": Fact(
        lambda x: _hardly_falls(x) or _falls_alike(x),
        "the first step does not part the outputs of different samples: the loss hardly falls, or falls for all alike",
    ),
    "no rate": Fact(
        # A loss that only grows in proportion to the rate, as that of class numbers does, can come down again, unless
        # units are all equal.
        lambda x: x["window"] == 0.0 and (_flat(x) or x["overshoot"] >= OVERSHOOT or x["merged"] == 1.0),
        "no learning rate lowers the loss along the first step: it stays as it is, it grows far faster than the rate, "
        "or all units are equal",
    ),
}


def judged(e: Evidence) -> Judgement:
    """The verdict on what was measured."""
    hopeless = _cannot(e)
    if hopeless:
        return _lost(1.0, hopeless)
    if outweighed(e):
        return _lost(LOST, PULLED)
    e, said = _opened(e)
    numbers, known = features_of(e), calibration()
    verdict, probability, held = told_by(numbers, known, given=e.step.given, line=e.line is not None)
    if held:
        return Judgement(verdict, probability, tuple(FACTS[name].words for name in held))
    if verdict == "uncertain" and (going := _going(e, probability)) is not None:
        return going
    likeliest = max(probability, key=lambda name: probability[name])
    trees = known.trees(given=e.step.given, line=e.line is not None)
    return Judgement(verdict, probability, (*said, *_because(numbers, trees.moved(numbers, likeliest))))


def _going(e: Evidence, before: Mapping[str, float]) -> Judgement | None:
    """What real steps tell of a start that the trees leave open; None where they do not settle it.

    That it trains they do not tell at rates as large as any that trains: there other batches throw training off that
    one batch does not. That a given rate leaves no number they tell of any.
    """
    constant = e.seen.constant_loss if e.step.rate < STABLE[e.step.family] else None
    if e.line is None or (not constant and not e.step.given):
        return None
    try:
        found = gets_going(e.problem, e.seen, e.step, constant or None)
    except InputError:
        return None
    if found is None:
        return None
    steps, loss = found
    if math.isinf(loss):
        return _lost(BLOWN, f"after {steps} real steps at {e.step.lr:.2g} on the batch the loss is no number")
    told = f"{steps} real steps at {e.step.lr:.2g} on the batch bring the loss to {loss:.4g}; a constant answer's is "
    trains = before["healthy"] + before["slow"]
    probability = {word: (1.0 - STUCK) * before[word] / trains for word in ("healthy", "slow")} | {"untrainable": STUCK}
    word: Verdict = "healthy" if probability["healthy"] >= probability["slow"] else "slow"
    return Judgement(word, probability, (f"{told}{constant:.4g}",))


def _lost(likely: float, words: str) -> Judgement:
    return Judgement("untrainable", {"healthy": 0.0, "slow": 1.0 - likely, "untrainable": likely}, (words,))


def told_by(
    numbers: Mapping[str, float], known: Calibration, *, given: bool, line: bool
) -> tuple[Verdict, dict[str, float], tuple[str, ...]]:
    """(the word, the probability of each, the facts that settle it) of measured numbers."""
    held = tuple(name for name, fact in FACTS.items() if fact.holds(numbers))
    if held:
        likely = max(known.facts[name] for name in held)
        return "untrainable", {"healthy": 0.0, "slow": 1.0 - likely, "untrainable": likely}, held
    trees = known.trees(given=given, line=line)
    probability = trees.probability(numbers)
    return _word(probability, trees), probability, held


def aligned(findings: Iterable[Finding], verdict: Verdict) -> tuple[Finding, ...]:
    """The findings with severities that agree with the verdict: an error is said only of what is untrainable."""
    if verdict == "untrainable":
        return tuple(findings)
    return tuple(f.but(severity="warning") if f.severity == "error" else f for f in findings)


def _opened(e: Evidence) -> tuple[Evidence, tuple[str, ...]]:
    """What is measured with gates of zero at one, where they alone keep every matrix from its gradient; and so said.

    The first step moves such gates, and the matrices get their gradients at the second.
    """
    own = e.values
    gates = {p.name: torch.ones_like(own[p.name].detach()) for p in e.closed if len(p.shape) < 2}
    if not gates or any(p.grad_rms for p in e.matrices):
        return e, ()
    opened = measured(e, Change("gates of zero at one", values=gates))
    return (e, ()) if opened is None else (opened, ("gates of zero open with the first step: judged with them at one",))


def _cannot(e: Evidence) -> str:
    """Why nothing can train, for sure; '' where something may."""
    trainable = [p for p in e.parameters if p.trainable]
    if not any(e.step.share(p.name) for p in trainable):
        return "no parameter is trained" if e.parameters else "the model has no parameters"
    if not math.isfinite(e.seen.loss):
        return "the loss is not finite"
    if any(p.nonfinite or (p.grad_rms is not None and not math.isfinite(p.grad_rms)) for p in trainable):
        return "a parameter or its gradient is not finite"
    return "a first step in half precision leaves the loss no number" if breaks(e) else ""


def _word(probability: Mapping[str, float], trees: Ensemble) -> Verdict:
    if probability["untrainable"] >= trees.untrainable:
        return "untrainable"
    if probability["untrainable"] > trees.trains:
        return "uncertain"
    return "healthy" if probability["healthy"] >= probability["slow"] else "slow"


def _because(numbers: Mapping[str, float], moved: Mapping[str, float]) -> tuple[str, ...]:
    """The numbers that moved the verdict most towards its word, as sentences."""
    by_name = {feature.name: feature for feature in FEATURES}
    told = sorted((name for name in moved if moved[name] > 0 and math.isfinite(numbers[name])), key=lambda n: -moved[n])
    return tuple(_sentence(by_name[name], numbers[name]) for name in told[:TOLD])


def _sentence(feature: Feature, number: float) -> str:
    if feature.unless and not number:
        return feature.unless
    return feature.words.format(format_number(10.0**number if feature.power else number, 2))
