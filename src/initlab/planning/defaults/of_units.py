"""A number for some units of a bias, and zero for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from initlab.sampling import laws
from initlab.schemes import Geometry

Units = frozenset[int]


@dataclass(frozen=True)
class OfUnits:
    """The rule of a scheme whose one argument is the number.

    Args:
        axis: along which the units lie.
        units: those that get the number.
        argument: its name, which is theirs in the plan too.
    """

    axis: int
    units: Units
    argument: str

    def __call__(self, geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
        held = groupby(range(geometry.shape[self.axis]), key=self.units.__contains__)
        runs = [(own, len(list(run))) for own, run in held]
        values = tuple(laws.Constant(arguments[self.argument] if own else 0.0) for own, _ in runs)
        names = tuple(self.argument if own else "other" for own, _ in runs)
        return laws.Stacked(self.axis, tuple(size for _, size in runs), values, names)
