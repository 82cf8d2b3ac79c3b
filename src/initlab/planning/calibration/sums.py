"""Sums: branches and positions get their share of what they are added to."""

from __future__ import annotations

import math
from typing import Any

import torch

from initlab.planning.calibration.found import rounded
from initlab.planning.calibration.measuring import NOTHING, second_moment
from initlab.planning.calibration.stand_ins import StandIns
from initlab.planning.sizes.targets import Targets


class Sums:
    """The sums of one pass, each branch brought to its share where it is added first."""

    def __init__(self, targets: Targets, drawn: StandIns) -> None:
        self.targets, self.drawn = targets, drawn
        self._joined: set[str] = set()

    def before(self, left: Any, right: Any, writes: bool) -> tuple[Any, Any]:
        """The operands of a sum as they are to be added.

        Args:
            left: the first operand.
            right: the other.
            writes: whether the sum is written into the first.
        """
        if not (isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor)):
            return left, right
        return self._shared(left, right, writes), self._shared(right, left)

    def _shared(self, part: torch.Tensor, other: torch.Tensor, writes: bool = False) -> torch.Tensor:
        """What is added, brought to its share of the other; itself where the sum is written into it."""
        marks, drawn = self.drawn.marks, self.drawn
        mark = marks.get(part)
        names = mark.names or (frozenset({mark.of}) & self.targets.positions)
        rest = marks.get(other)
        share = self.targets.share(names, rest.names, rest.learned, self._joined)
        if share is None or names & self._joined or not all(map(drawn.free, names)):
            return part
        own, base = second_moment(part), second_moment(other)
        if own is None or base is None or other.numel() < 2:
            return part
        self._joined |= names
        if base >= share.below:
            return part
        most = min(self.targets.most(drawn.entries[name]) / drawn.found.factor(name) for name in names)
        factor = rounded(min(math.sqrt(share.of * base / own), self._room(names, base), most))
        if factor == 1.0 or (factor > 1 and not share.grows):
            return part
        drawn.scale(names, factor)
        if mark.of:
            return part
        scaled = part.mul_(factor) if writes else part * factor
        marks.set(scaled, names, terms=mark.terms)
        return scaled

    def _room(self, names: frozenset[str], base: float) -> float:
        """What a branch may grow by: its weight's own output not beyond what it is added to, whatever scales it after.

        A step of an integrator, y + h·f(y), is small on purpose. A weight that nothing reached makes nothing.
        """
        found = self.drawn.found
        made = [found.measured[name][0] * found.factor(name) ** 2 for name in names if name in found.measured]
        if made and max(made) < NOTHING and names <= self.targets.behind:
            return 1.0
        return max([1.0, math.sqrt(max(1.0, base) / max(made))] if made and max(made) > 0 else [math.inf])
