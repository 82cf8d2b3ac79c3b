"""A race under way: its arms, its budget, and how its level is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from initlab.comparison.arms import Arm
from initlab.comparison.driver import Driver

FIRST_SEEDS = 3
LOOKS = (0.05, 0.1, 0.2, 0.4)  # shares of the steps after which arms are compared; the end is a look as well
LEVEL = 0.05


@dataclass(frozen=True)
class Spending:
    """How the level is shared among the looks: half of it for the last look, the rest evenly.

    By Bonferroni's inequality over looks and over all pairs of arms, the chance that any of equally good arms is ever
    declared worse than another is at most the level, however the looks depend on one another.

    Args:
        looks: how many times arms are compared.
        arms: how many there are.
        level: of the whole race.
    """

    looks: int
    arms: int
    level: float = LEVEL

    def at(self, look: int) -> float:
        """The level of look `look` (from 1), for all pairs together.

        >>> [round(Spending(3, 4).at(look), 4) for look in (1, 2, 3)]
        [0.0125, 0.0125, 0.025]
        """
        if self.looks == 1:
            return self.level
        return self.level / 2 if look >= self.looks else self.level / 2 / (self.looks - 1)

    def pair(self, look: int) -> float:
        """The level of one pair at this look."""
        return self.at(look) / max(1, self.arms * (self.arms - 1) // 2)


@dataclass
class Race:
    """A race under way.

    Args:
        driver: trains.
        arms: label -> arm.
        seeds: the seeds in the order in which they are given out.
        at: steps at which runs are measured in any case.
        asked: the most run-steps, or None for the default.
        spending: of the level.
        metric: "accuracy" (higher is better) or "loss".
        given: label -> how many of the seeds the arm has been given.
        broken: arms all of whose first seeds diverged -> the steps that each of these took.
        notes: what was decided, for the reader.
        look: how many looks have been taken.
    """

    driver: Driver
    arms: dict[str, Arm]
    seeds: Sequence[int]
    at: Sequence[int]
    asked: int | None
    spending: Spending
    metric: str
    given: dict[str, int] = field(default_factory=dict)
    broken: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    look: int = 0

    @property
    def steps(self) -> int:
        return self.driver.task.steps

    @property
    def budget(self) -> int:
        """The most run-steps. The whole study would not train a diverged run on either, so its steps do not count."""
        if self.asked is not None:
            return self.asked
        seeds = len(self.seeds)
        unspent = sum(seeds * (self.steps - sum(took) / len(took)) for took in self.broken.values())
        return default_budget(len(self.arms), seeds, self.steps, round(unspent))

    def spent(self) -> int:
        """Run-steps of the study so far, in this process or another."""
        done = self.driver.ended()
        return sum(done[key].steps for key in self.driver.labels if key in done)

    def keys(self, label: str) -> list[str]:
        """Keys of the arm's runs that have been given out."""
        return [self.arms[label].spec(seed).key for seed in self.seeds[: self.given[label]]]


def default_budget(arms: int, seeds: int, steps: int, unspent: int = 0) -> int:
    """Run-steps of a race that is given no budget.

    Args:
        arms, seeds, steps: of the whole study.
        unspent: run-steps that the whole study would not spend either, for runs that diverge.

    >>> default_budget(7, 5, 100), default_budget(2, 5, 100)
    (1400, 1000)
    """
    return max(2 * (arms * seeds * steps - unspent) // 5, min(arms, 2) * seeds * steps)


def look_steps(steps: int) -> list[int]:
    """The steps after which arms are compared."""
    return sorted({max(1, round(share * steps)) for share in LOOKS} | {steps})
