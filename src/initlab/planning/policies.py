"""Policies by name: every recipe of the folder `recipes`, and every scheme as a policy of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from initlab.errors import InputError, argued, unknown
from initlab.planning.choice import Choice, Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw
from initlab.planning.reason import Reason
from initlab.planning.recipes import recipes
from initlab.schemes import Scheme, get_scheme, list_schemes
from initlab.schemes.registry import ALIASES


def recipe_names() -> dict[str, str]:
    """Every name and alias of a recipe -> its name."""
    return {name: recipe.name for recipe in recipes() for name in (recipe.name, *recipe.aliases)}


@dataclass(frozen=True)
class _Whole:
    """Gives one scheme whatever the parameter."""

    scheme: Scheme
    words: str

    def __call__(self, subject: Subject, options: Options) -> Choice:
        return Choice(self.scheme, Reason("scheme", self.words))


def scheme_policy(scheme: Scheme, words: str | None = None) -> Policy:
    """One scheme for all weights; biases, norms and embeddings keep their defaults."""
    law = RoleLaw("weight", _Whole(scheme, words or f"policy {scheme.label}"), scheme.formula)
    return Policy(scheme.label, scheme.formula, scheme.source, (law,), scheme.year)


def list_policies() -> list[str]:
    """The recipes for whole models; every scheme's name is a policy too."""
    return [recipe.name for recipe in recipes()]


@argued
def get_policy(name: str, **options: float) -> Policy:
    """A policy by name, with its options set.

    Args:
        name: a recipe (`list_policies()`, `initlab recipes`) or a scheme's name.
        **options: forget_bias, embedding_std, position_std, and the numbers of the recipe itself (gpt2 has std).

    Raises:
        InputError: an unknown name or option (with the nearest names), or a bad number.

    >>> get_policy("auto", forget_bias=0.0).options.forget_bias
    0.0
    >>> get_policy("gpt2", std=0.01).options["std"]
    0.01
    """
    known = recipe_names()
    if isinstance(name, str) and name in known:
        policy = next(recipe for recipe in recipes() if recipe.name == known[name])
    elif isinstance(name, str) and (ALIASES.get(name, name) in list_schemes()):
        scheme = get_scheme(name)
        meant = "" if scheme.name == name else f" ({name!r} means {scheme.name})"
        policy = scheme_policy(scheme, f"policy {scheme.label}{meant}")
    else:
        raise unknown("policy or scheme", name, [*known, *list_schemes(), *ALIASES, "keep"])
    return replace(policy, options=policy.options.with_(**options)) if options else policy


def as_policy(value: Any) -> Policy:
    """A policy from what a user may give for a whole model: a name, a Scheme or a Policy.

    Raises:
        InputError: anything else, or an unknown name.
    """
    if isinstance(value, Policy):
        return value
    if isinstance(value, Scheme):
        return scheme_policy(value)
    if isinstance(value, str):
        if re.search(r"[*@\[]", value):
            raise InputError(f"policy {value!r} looks like a selector; write {{{value!r}: scheme}}")
        return get_policy(value)
    raise InputError(
        f"policy must be a name, a Scheme, or a mapping of selectors to schemes; got {type(value).__name__}"
    )
