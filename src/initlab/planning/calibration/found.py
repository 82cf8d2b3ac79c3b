"""What a calibrating pass finds, and which laws it may change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from initlab.planning.calibration.measuring import SLACK
from initlab.planning.plan import PlanEntry


@dataclass
class Found:
    """What one pass found, or rules where none can run.

    Args:
        factors: by parameter, what its std is to be multiplied by.
        measured: by parameter, the second moment of what it makes as planned, and the target.
        derived: the same where no pass ran, as rules say it.
        scores: by weight of queries whose scores were too large, their second moment.
        products: by factor of scores that were too large, their second moment, and the target.
        uses: by weight that is applied again, the second moments of what each use made, as corrected at the first.
        grown: read-outs that a constant shrinks, brought to logits of unit variance.
        scales: see `Targets`.
    """

    factors: dict[str, float] = field(default_factory=dict)
    measured: dict[str, tuple[float, float]] = field(default_factory=dict)
    derived: dict[str, tuple[float, float]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    products: dict[str, tuple[float, float]] = field(default_factory=dict)
    uses: dict[str, list[float]] = field(default_factory=dict)
    grown: set[str] = field(default_factory=set)
    scales: Mapping[str, float] = field(default_factory=dict)

    def factor(self, name: str) -> float:
        return self.factors.get(name, 1.0)

    def growth(self, name: str) -> float:
        """By how much the second moment of what all uses of a weight make lies above that of the first; 1 of near ones.

        A state that begins at zero is small at the first step of a loop, and what reads it makes up for that once.
        """
        found = self.uses.get(name, [])
        ratio = sum(found) / len(found) / found[0] if found else 1.0
        return ratio if ratio > SLACK else 1.0

    def scale(self, name: str, value: float) -> float:
        """The value of a constant parameter with which the scale that is made of it is as large as was found."""
        root = self.scales.get(name, 0.0)
        return root + (value - root) * self.factor(name)


def _adjustable(entry: PlanEntry | None) -> bool:
    """Whether a law has a std that can be multiplied."""
    if entry is None or entry.law is None or entry.recipe is None or not entry.std:
        return False
    return entry.gain is not None or "std" in entry.recipe.arguments


def correctable(name: str, entries: Mapping[str, PlanEntry], fixed: Collection[str], scales: Collection[str]) -> bool:
    """Whether a pass may correct what a parameter gets.

    Args:
        name: the parameter's.
        entries: the plan's entries by name.
        fixed: names whose laws are not to be changed.
        scales: those of norms whose value may be changed, though they have no std.
    """
    return name not in fixed and (name in scales or _adjustable(entries.get(name)))


def rounded(factor: float) -> float:
    """To three digits, so that the last bits of a measurement do not reach the values."""
    return float(f"{factor:.3g}")
