"""What a comparison's runs add up to: one summary an arm, a paired test for each two, and what cannot be concluded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from initlab.comparison.scores import higher, score_of, worst_of
from initlab.comparison.times import TimeTo, first_at_most, kaplan_meier_median
from initlab.comparison.words import difference_text
from initlab.errors import listed
from initlab.statistics import (
    Interval,
    PairedTest,
    bootstrap_interval,
    detectable_difference,
    holm,
    odds_of_best,
    paired_t,
    resolution,
    sign_flip,
    spread_of,
    t_interval,
)
from initlab.training.records import LEFT_OUT, RunRecord

MANY_ARMS = 25  # beyond them, the differences of all pairs get Student's interval and no permutation test


@dataclass(frozen=True)
class ArmSummary:
    """One arm's runs in numbers.

    Args:
        label: the arm.
        scheme: its scheme's label.
        lr: its learning rate.
        counts: status -> number of runs.
        score: final test accuracy (or test loss) over seeds, with a 95% interval; of a diverged run what
            `worst_score` says.
        train_loss: mean training loss over the last stretch, over seeds.
        steps_to: steps to the target loss.
        odds: probability of being best; nan for an arm that was not run out.
        steps: optimizer steps of all its runs.
    """

    label: str
    scheme: str
    lr: float
    counts: dict[str, int]
    score: Interval
    train_loss: float
    steps_to: TimeTo
    odds: float
    steps: int

    @property
    def out(self) -> bool:
        """Whether it was stopped as worse beyond chance, or refused."""
        return any(self.counts.get(status, 0) for status in ("stopped", "refused"))

    @property
    def complete(self) -> bool:
        """Whether none of its runs was stopped early or refused."""
        return not any(self.counts.get(status, 0) for status in LEFT_OUT) and sum(self.counts.values()) > 0


@dataclass(frozen=True)
class Analysis:
    """Everything that reports say about a comparison's runs.

    Args:
        metric: "accuracy" (higher is better) or "loss" (lower is better).
        arms: best first.
        tests: one for each two arms with runs on shared seeds, Holm-corrected together.
        target_loss: the loss that `steps_to` is about.
        warnings: what the reader should know before believing the table.
    """

    metric: str
    arms: tuple[ArmSummary, ...]
    tests: tuple[PairedTest, ...]
    target_loss: float
    warnings: tuple[str, ...]

    @property
    def best(self) -> ArmSummary | None:
        """The arm with the best mean score; None where no run was finished."""
        return self.arms[0] if self.arms and self.arms[0].counts.get("finished") else None

    def between(self, first: str, second: str) -> PairedTest | None:
        """The paired test of two arms, as (first - second); None where they share fewer than two seeds."""
        if (first, second) in self._by_pair:
            return self._by_pair[first, second]
        test = self._by_pair.get((second, first))
        if test is None:
            return None
        d = test.difference
        return replace(test, first=first, second=second, difference=Interval(-d.mean, -d.high, -d.low))

    @cached_property
    def _by_pair(self) -> dict[tuple[str, str], PairedTest]:
        return {(test.first, test.second): test for test in self.tests}


def analyse(
    runs: Sequence[RunRecord], arms: Sequence[str], target_loss: float | None = None, level: float = 0.05
) -> Analysis:
    """Summaries and tests over `runs`.

    Args:
        runs: in any order.
        arms: the labels, in the order in which they were asked for.
        target_loss: the training loss that steps are counted to; by default the median of the arms' final losses.
        level: family-wise level of the tests.
    """
    of_arm = {label: sorted((r for r in runs if r.arm == label), key=lambda r: r.seed) for label in arms}
    metric = "accuracy" if any(math.isfinite(run.accuracy) for run in runs) else "loss"
    if metric == "loss" and all(run.status != "finished" for run in runs) and _classes(runs):
        metric = "accuracy"
    worst = worst_of(runs, metric)
    scores = {label: {r.seed: score_of(r, metric, worst) for r in own} for label, own in of_arm.items()}
    finals = {label: _final_loss(own) for label, own in of_arm.items()}
    target = target_loss if target_loss is not None else _default_target(list(finals.values()))
    tests = _tests(scores, level)
    odds = _odds(scores, metric)
    summaries = [
        _summary(label, own, _interval(scores[label], metric), finals[label], target, odds.get(label, math.nan))
        for label, own in of_arm.items()
        if own
    ]
    summaries.sort(key=lambda s: _rank(s, metric))
    ordered = tuple(summaries)
    return Analysis(metric, ordered, tests, target, tuple(_warnings(ordered, tests, metric)))


def _classes(runs: Sequence[RunRecord]) -> bool:
    return any(len(run.tests) and math.isfinite(float(run.tests[0, 2])) for run in runs)


def _final_loss(own: Sequence[RunRecord]) -> float:
    finals = [float(r.curve[-1, 1]) for r in own if r.status == "finished" and len(r.curve)]
    return float(np.mean(finals)) if finals else math.nan


def _default_target(finals: Sequence[float]) -> float:
    known = sorted(value for value in finals if math.isfinite(value))
    return known[len(known) // 2] if known else math.nan


def _tests(scores: dict[str, dict[int, float]], level: float) -> tuple[PairedTest, ...]:
    many = len(scores) > MANY_ARMS
    interval = t_interval if many else bootstrap_interval
    flip = (lambda d: math.nan) if many else sign_flip
    step = resolution(score for own in scores.values() for score in own.values())
    raw: list[tuple[PairedTest, np.ndarray]] = []
    for first, second in itertools.combinations(scores, 2):
        shared = [s for s in scores[first] if s in scores[second]]
        d = np.array([scores[first][s] - scores[second][s] for s in shared])
        d = d[np.isfinite(d)]
        if len(d) >= 2:
            raw.append((PairedTest(first, second, len(d), interval(d, step=step), paired_t(d, step), flip(d)), d))
    adjusted = holm([test.p for test, _ in raw])
    return tuple(
        replace(t, p_holm=p, level=level, detectable=detectable_difference(spread_of(d, step), len(d), len(raw), level))
        for (t, d), p in zip(raw, adjusted, strict=True)
    )


def _odds(scores: dict[str, dict[int, float]], metric: str) -> dict[str, float]:
    """Probability of having the best mean, the highest accuracy or the lowest loss, over resampled seeds."""
    whole = {label: {s: v for s, v in own.items() if math.isfinite(v)} for label, own in scores.items()}
    most = max((len(own) for own in whole.values()), default=0)
    # Arms stopped early have fewer seeds: they are out, and would otherwise leave nothing to resample.
    entrants = [label for label, own in whole.items() if own and len(own) == most]
    shared = [s for s in (whole[entrants[0]] if entrants else ()) if all(s in whole[label] for label in entrants)]
    if not shared:
        return {}
    table = np.array([[whole[label][s] for s in shared] for label in entrants])
    return dict(zip(entrants, odds_of_best(higher(metric) * table).tolist(), strict=True))


def _interval(scores: dict[int, float], metric: str) -> Interval:
    """Over seeds, as far as the metric goes: an accuracy lies within 0 and 1."""
    found = bootstrap_interval([value for value in scores.values() if math.isfinite(value)])
    if metric != "accuracy" or not math.isfinite(found.low):
        return found
    return Interval(found.mean, max(0.0, found.low), min(1.0, found.high))


def _summary(
    label: str, own: Sequence[RunRecord], score: Interval, final: float, target: float, odds: float
) -> ArmSummary:
    counts: dict[str, int] = {}
    for run in own:
        counts[run.status] = counts.get(run.status, 0) + 1
    return ArmSummary(
        label,
        own[0].scheme,
        own[0].lr,
        counts,
        score,
        final,
        _time_to(own, target),
        odds,
        sum(run.steps for run in own),
    )


def _time_to(own: Sequence[RunRecord], target: float) -> TimeTo:
    """Steps to the target loss. A run that diverged never comes to it: it is censored at the end of all time."""
    begun = [run for run in own if run.status != "refused"]
    reached = [first_at_most(run.curve, target) for run in begun]
    times = [t if math.isfinite(t) else math.inf if r.status == "diverged" else float(r.steps)
             for t, r in zip(reached, begun, strict=True)]  # fmt: skip
    happened = [math.isfinite(t) for t in reached]
    longest = max((float(run.steps) for run in begun), default=0.0)
    return TimeTo(sum(happened), len(begun), kaplan_meier_median(times, happened), longest)


def _rank(summary: ArmSummary, metric: str) -> tuple[bool, float]:
    mean = summary.score.mean
    if not math.isfinite(mean):
        return True, math.inf
    return not summary.complete, -higher(metric) * mean


def _warnings(arms: Sequence[ArmSummary], tests: Sequence[PairedTest], metric: str) -> list[str]:
    found = []
    seeds = max((sum(a.counts.get(s, 0) for s in ("finished", "diverged")) for a in arms), default=0)
    diverged = [a.label for a in arms if a.counts.get("diverged")]
    if diverged:
        found.append(f"diverged runs: {listed(diverged, 3)}; they count as the worst score")
    if seeds == 1 and len(arms) > 1:
        found.append("1 seed: no interval and no test can be given; use seeds=5 or more")
    if len(arms) > 1 and arms[0].complete and arms[0].counts.get("finished"):
        found.extend(_too_few(arms, tests, metric))
    return found


def _too_few(arms: Sequence[ArmSummary], tests: Sequence[PairedTest], metric: str) -> list[str]:
    """Where the leader is not shown to be better than the next: what these seeds could have shown."""
    pair = {arms[0].label, arms[1].label}
    for test in tests:
        if {test.first, test.second} != pair or test.significant:
            continue
        gap = difference_text(abs(test.difference.mean), metric)
        least = f"about {difference_text(test.detectable, metric)} is the least they show in four of five studies"
        if metric == "accuracy" and test.detectable >= 1:
            least = "so few that no difference would show in four of five studies"
        return [
            f"{test.seeds} seeds cannot show a difference of {gap} between {arms[0].label} and {arms[1].label}: {least}"
        ]
    return []
