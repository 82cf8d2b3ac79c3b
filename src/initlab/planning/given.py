"""What recipes give: laws whose std is a number of the recipe, whole or by the structure of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from initlab.planning import residual
from initlab.planning.choice import Options
from initlab.planning.scene import Subject
from initlab.schemes import Scheme, get_scheme


@dataclass(frozen=True)
class Normal:
    """N(0, s²), s a number of the recipe.

    Args:
        number: its name.
        scheme: "normal", "truncated_normal" or another scheme with a std.
    """

    number: str = "std"
    scheme: str = "normal"

    def __call__(self, subject: Subject, options: Options) -> Scheme:
        return get_scheme(self.scheme, std=options[self.number])


@dataclass(frozen=True)
class OverBranches:
    """N(0, s²/n) for a model of n residual branches, s a number of the recipe."""

    number: str = "std"
    scheme: str = "normal"

    def __call__(self, subject: Subject, options: Options) -> Scheme:
        count = max(1, residual.projections(subject.scene).count)
        return get_scheme(self.scheme, std=options[self.number] / math.sqrt(count))
