"""What recipes give: laws whose std is a number of the recipe, whole or by the structure of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from initlab.planning import residual
from initlab.planning.choice import Choice, Options
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


@dataclass(frozen=True)
class Fed:
    """A scheme by its name, with the gain that undoes what feeds the weight."""

    scheme: str = "lecun_normal"

    def __call__(self, subject: Subject, options: Options) -> Choice:
        fed = subject.fed()
        return Choice(get_scheme(self.scheme), fed.reason, gain=fed.gain)


@dataclass(frozen=True)
class Narrow:
    """N(0, (s/fan_in)²) for what maps a width onto few outputs, s a number of the recipe; 0 gives zeros."""

    number: str = "head"

    def __call__(self, subject: Subject, options: Options) -> Scheme:
        size, geometry = options[self.number], subject.geometry
        if size == 0 or geometry is None:
            return get_scheme("zeros")
        return get_scheme("normal", std=size / geometry.fan_in)
