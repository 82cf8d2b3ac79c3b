"""Which arms leave a race at a look, from their scores alone: worse beyond chance, or more than the budget carries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from initlab.comparison.race import FIRST_SEEDS, Race
from initlab.comparison.words import difference_text
from initlab.statistics import paired_t, resolution
from initlab.training.group import Training

EARLIEST = 0.2  # share of the steps before which no arm is set aside
MOST_RESERVED = 5  # seeds of the two best that run-steps are kept for

Scores = Mapping[int, np.ndarray]


def scores_of(training: Training, keys: Sequence[str]) -> dict[int, np.ndarray]:
    """Step -> the score of each seed, higher better: accuracy, or minus the test loss; worst where it diverged."""
    table: dict[int, list[float]] = {}
    for step in sorted({int(test[0]) for key in keys for test in training.keepers[key].tests}):
        for key in keys:
            known = [test for test in training.keepers[key].tests if int(test[0]) <= step]
            table.setdefault(step, []).append(score(known[-1]) if known else -math.inf)
    return {step: np.array(row) for step, row in table.items()}


def score(test: tuple[float, float, float]) -> float:
    _, loss, accuracy = test
    if math.isfinite(accuracy):
        return accuracy
    return -loss if math.isfinite(loss) else -math.inf


def losers(scores: Mapping[str, Scores], step: int, level: float, metric: str) -> dict[str, str]:
    """Arm -> why it is stopped: below the leader beyond chance, and below where the leader was at half the steps."""
    now = {label: _finite(of[max(s for s in of if s <= step)], scores, metric) for label, of in scores.items() if of}
    if len(now) < 2:
        return {}
    leader = max(now, key=lambda label: float(now[label].mean()))
    earlier = [s for s in scores[leader] if s <= step // 2]
    if not earlier:
        return {}
    half = float(_finite(scores[leader][max(earlier)], scores, metric).mean())
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


def worst(scores: Iterable[float], metric: str) -> float:
    """What a seed that diverged scores: the lowest score that any seed of the race has had; 0 for accuracies.

    >>> worst([0.9, -math.inf], "accuracy"), worst([-0.3, -2.5], "loss"), worst([1.5, 0.5], "loss")
    (0.0, -2.5, 0.5)
    """
    return 0.0 if metric == "accuracy" else min((value for value in scores if math.isfinite(value)), default=0.0)


def _finite(values: np.ndarray, scores: Mapping[str, Scores], metric: str) -> np.ndarray:
    if np.isfinite(values).all():
        return values
    lowest = worst((value for of in scores.values() for row in of.values() for value in row.tolist()), metric)
    return np.where(np.isfinite(values), values, lowest)


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


def last_ones(scores: Mapping[str, Scores], step: int, keep: int, metric: str) -> dict[str, str]:
    """Arm -> why it is set aside, for all but the `keep` best at this step."""
    now = {
        label: float(_finite(of[max(s for s in of if s <= step)], scores, metric).mean())
        for label, of in scores.items()
    }
    ranked = sorted(now, key=lambda label: -now[label])
    return {
        label: f"{place} of {len(ranked)} at step {step}: not shown to be worse, but the budget goes to {keep} arms"
        for place, label in enumerate(ranked, 1)
        if place > keep
    }
