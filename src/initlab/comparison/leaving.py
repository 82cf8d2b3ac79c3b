"""Which arms leave a race at a look, from their scores alone: worse beyond chance, or more than the budget carries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from initlab.comparison.race import FIRST_SEEDS, Race
from initlab.comparison.scores import higher, worst_score
from initlab.comparison.words import difference_text
from initlab.statistics import paired_t, resolution
from initlab.training.group import Training
from initlab.training.records import Keeper

EARLIEST = 0.2  # share of the steps before which no arm is set aside
MOST_RESERVED = 5  # seeds of the two best that run-steps are kept for

Scores = Mapping[int, np.ndarray]


def scores_of(training: Training, arms: Mapping[str, Sequence[str]], metric: str) -> dict[str, Scores]:
    """Arm -> step -> the score of each seed so far, higher better: accuracy, or minus the test loss.

    Args:
        training: the runs.
        arms: label -> keys of its runs.
        metric: "accuracy" or "loss".
    """
    every = training.keepers.values()
    ends = [keeper.tests[-1][1] for keeper in every if keeper.tests and not keeper.diverged]
    worst = higher(metric) * worst_score(metric, ends, [keeper.curve for keeper in every])
    return {label: _by_step([training.keepers[key] for key in keys], metric, worst) for label, keys in arms.items()}


def _by_step(keepers: Sequence[Keeper], metric: str, worst: float) -> Scores:
    steps = sorted({int(test[0]) for keeper in keepers for test in keeper.tests})
    return {step: np.array([_score_at(keeper, step, metric, worst) for keeper in keepers]) for step in steps}


def _score_at(keeper: Keeper, step: int, metric: str, worst: float) -> float:
    known = [test for test in keeper.tests if int(test[0]) <= step]
    if not known or (keeper.diverged and keeper.steps <= step):
        return worst
    _, loss, accuracy = known[-1]
    value = higher(metric) * (accuracy if metric == "accuracy" else loss)
    return value if math.isfinite(value) else worst


def losers(scores: Mapping[str, Scores], step: int, level: float, metric: str) -> dict[str, str]:
    """Arm -> why it is stopped: below the leader beyond chance, and below where the leader was at half the steps."""
    now = {label: of[max(s for s in of if s <= step)] for label, of in scores.items() if of}
    if len(now) < 2:
        return {}
    leader = max(now, key=lambda label: float(now[label].mean()))
    earlier = [s for s in scores[leader] if s <= step // 2]
    if not earlier:
        return {}
    half = float(scores[leader][max(earlier)].mean())
    step_of_scores = resolution(value for values in now.values() for value in values)
    found = {}
    for label, values in now.items():
        gap = values - now[leader]
        p = paired_t(gap, step_of_scores)
        if label != leader and gap.mean() < 0 and values.mean() < half and p < level:
            found[label] = (
                f"{difference_text(-float(gap.mean()), metric)} behind {leader} at step {step} over {len(gap)} seeds "
                f"(paired t, p {p:.1g} < {level:.1g}), and behind where {leader} was at step {max(earlier)}"
            )
    return found


def affordable(live: int, looks: Sequence[int], spent: int, race: Race) -> int:
    """How many of `live` arms go on past the look at `looks[0]`.

    As many as can be taken to the end of their first seeds if the field then narrows evenly from look to look, with
    run-steps left for the remaining seeds of two; at least two. Before a fifth of the steps all go on: who is ahead
    says little yet, and what is hopeless is stopped beyond chance.

    Args:
        live: arms that are not worse beyond chance.
        looks: the steps of this look and of those that follow.
        spent: run-steps so far.
        race: its budget and seeds.
    """
    if looks[0] < EARLIEST * race.steps:
        return live
    seeds = min(FIRST_SEEDS, len(race.seeds))
    reserve = 2 * (min(len(race.seeds), MOST_RESERVED) - seeds) * race.steps
    count = len(looks) - 1
    for final in range(live, 1, -1):
        field_sizes: list[int] = [math.ceil(live * (final / live) ** ((i + 1) / count)) for i in range(count)]
        stretches = [later - now for now, later in itertools.pairwise(looks)]
        cost = sum(size * seeds * stretch for size, stretch in zip(field_sizes, stretches, strict=True))
        if spent + cost + reserve <= race.budget:
            return field_sizes[0]
    return min(live, 2)


def last_ones(scores: Mapping[str, Scores], step: int, keep: int) -> dict[str, str]:
    """Arm -> why it is set aside, for all but the `keep` best at this step."""
    now = {label: float(of[max(s for s in of if s <= step)].mean()) for label, of in scores.items()}
    ranked = sorted(now, key=lambda label: -now[label])
    return {
        label: f"{place} of {len(ranked)} at step {step}: not shown to be worse, but the budget goes to {keep} arms"
        for place, label in enumerate(ranked, 1)
        if place > keep
    }
