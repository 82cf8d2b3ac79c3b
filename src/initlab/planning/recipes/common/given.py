"""What recipes give: laws whose std is a number of the recipe, whole or by the structure of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from initlab.planning.choice import Choice, Options, keep
from initlab.planning.parameters import residual
from initlab.planning.parameters.scene import Scene, Subject
from initlab.sampling import canonical_name
from initlab.sampling.laws import Law
from initlab.sampling.truncation import cut_moments
from initlab.schemes import Geometry, Scheme, get_scheme
from initlab.schemes.scheme import Rule

_OWN: dict[str, Any] = {
    "latex": "",
    "keeps": "",
    "why": "As the recipe's source draws it.",
    "source": "The recipe's",
    "suits": (),
    "misuse": "",
    "aliases": (),
}


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
class ByFeed:
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


@dataclass(frozen=True)
class Cut:
    """A normal law of std s cut at so many s on both sides, s before the cut and a number of the recipe."""

    number: str = "std"
    sigmas: float = 2.0

    def __call__(self, subject: Subject, options: Options) -> Scheme:
        return cut_normal(options[self.number], self.sigmas)


@dataclass(frozen=True)
class Kept:
    """The parameter as it is."""

    words: str

    def __call__(self, subject: Subject, options: Options) -> Choice:
        return keep("not_of_the_recipe", f"kept: {self.words}")


def cut_normal(std: float, sigmas: float) -> Scheme:
    """N(0, std²) cut at ± so many std, std being before the cut."""
    after = math.sqrt(cut_moments(-sigmas, sigmas)[1])
    return get_scheme("truncated_normal", std=std * after, sigmas=sigmas)


@dataclass(frozen=True)
class _Fixed:
    law: Law

    def __call__(self, geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> Law:
        return self.law


@dataclass(frozen=True)
class _Around:
    rule: Rule
    made: Callable[[Law], Law]

    def __call__(self, geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> Law:
        return self.made(self.rule(geometry, arguments, gain))


def as_scheme(name: str, law: Law, formula: str) -> Scheme:
    """A law of a recipe's own as a scheme."""
    return replace(get_scheme("zeros"), name=name, formula=formula, rule=_Fixed(law), **_OWN)


def with_law(name: str, scheme: Scheme, made: Callable[[Law], Law], words: str) -> Scheme:
    """A scheme with its law changed: (law) -> law."""
    return replace(scheme, name=name, formula=f"{scheme.formula}; {words}", rule=_Around(scheme.rule, made))


def flattened_patch(subject: Subject, options: Options) -> Scheme:
    """Xavier's uniform law on a kernel taken as a matrix (out, in × kernel), as for patch projections."""
    columns = math.prod(subject.shape[1:])
    bound = math.sqrt(6 / (columns + subject.shape[0]))
    return get_scheme("uniform", low=-bound, high=bound)


def branches_of(scene: Scene) -> list[tuple[str, ...]]:
    """The weights of every residual branch, in the order of their use; branches without weights are left out."""
    if scene.graph is None:
        return []
    weights = {subject.name for subject in scene.subjects() if subject.role == "weight"}
    named = ([canonical_name(name) for name in branch] for branch in scene.graph.residual_branches())
    found = (tuple(name for name in branch if name in weights) for branch in named)
    return [branch for branch in found if branch]


def block_of(subject: Subject) -> int:
    """The block, from one, of a weight in a residual branch: a block has two branches."""
    return 1 + next(i for i, branch in enumerate(branches_of(subject.scene)) if subject.name in branch) // 2


def no_norms(scene: Scene, subjects: Sequence[Subject]) -> bool:
    """Whether no parameter is the scale of a norm."""
    return not any(subject.role == "norm_weight" for subject in subjects)
