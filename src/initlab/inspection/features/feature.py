"""What a number that the verdict is read from is, and the range that it is cut to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from initlab.inspection.evidence import Evidence

FLOOR, CEILING = -12.0, 6.0
NAN = math.nan


@dataclass(frozen=True)
class Feature:
    """One number.

    Attributes:
        name: its key in the recorded cells and in the calibrated trees.
        words: how a reader is told its value; `{}` stands for the number, or for ten to its power.
        of: measures it.
        power: whether the number is a decimal logarithm, to be told as ten to its power.
        unless: of a number that is 1 or 0, how a reader is told 0; "" for others.
    """

    name: str
    words: str
    of: Callable[[Evidence], float]
    power: bool = False
    unless: str = ""


def log(value: float | None) -> float:
    """Decimal logarithm within `FLOOR` and `CEILING`; NaN for what is not known."""
    if value is None or math.isnan(value):
        return NAN
    return min(CEILING, max(FLOOR, math.log10(value))) if value > 0 else FLOOR


def cut(value: float | None) -> float:
    """A share within -1 and 1; NaN for what is not known."""
    return NAN if value is None or math.isnan(value) else min(1.0, max(-1.0, value))
