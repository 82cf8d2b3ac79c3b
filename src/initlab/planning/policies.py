"""Policies: the table of recipes for a whole model, each a rule for weights and, where it differs, for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from initlab.errors import InputError, unknown
from initlab.planning import residual
from initlab.planning.reason import Reason
from initlab.planning.rules import DEFAULTS, Choice, Options, embedding_choice, fed_weight, other, padded
from initlab.planning.scene import Scene, Subject
from initlab.schemes import Scheme, get_scheme, list_schemes
from initlab.schemes.registry import ALIASES

Rule = Callable[[Subject, Options], Choice]


@dataclass(frozen=True)
class Policy:
    """A recipe for a whole model.

    Args:
        name: what the plan calls it.
        about: what it does, in a sentence.
        source: where it comes from.
        weight: the rule for weights.
        others: rules by role, where they differ from the defaults.
        options: the numbers that the user may set.
        notes: (scene) -> warnings about the recipe on this model.
        measured: whether a pass on the example inputs corrects what its rules derive.
    """

    name: str
    about: str
    source: str
    weight: Rule
    others: Mapping[str, Rule] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    notes: Callable[[Scene], tuple[str, ...]] | None = None
    measured: bool = False

    def choose(self, subject: Subject) -> Choice:
        """What this policy gives one parameter."""
        rule = self.weight if subject.role == "weight" else self.others.get(subject.role, DEFAULTS[subject.role])
        return rule(subject, self.options)


def _own_scheme(scheme: Scheme, reason: Reason) -> Rule:
    def rule(subject: Subject, options: Options) -> Choice:
        return Choice(scheme, reason)

    return rule


def scheme_policy(scheme: Scheme, words: str | None = None) -> Policy:
    """One scheme for all weights; biases, norms and embeddings keep their defaults."""
    reason = Reason("scheme", words or f"policy {scheme.label}")
    return Policy(scheme.label, scheme.formula, scheme.source, _own_scheme(scheme, reason))


def _torch(subject: Subject, options: Options) -> Choice:
    scheme = get_scheme("torch_default")
    if subject.geometry is None or subject.geometry.kind == "other":
        choice = other(subject, options)
        return replace(choice, reason=choice.reason.but(f"not a parameter of torch's own layers: {choice.reason}"))
    if subject.role == "embedding":
        scheme, note = padded(subject, scheme)
        return Choice(scheme, Reason("torch_default", "as torch's reset_parameters draws it" + note))
    return Choice(scheme, Reason("torch_default", "as torch's reset_parameters draws it"))


def _gpt2_weight(subject: Subject, options: Options) -> Choice:
    ends = residual.projections(subject.scene)
    if subject.name not in ends.names:
        return Choice(get_scheme("normal", std=0.02), Reason("gpt2", "gpt2: normal, std 0.02"))
    std = 0.02 / ends.count**0.5
    return Choice(
        get_scheme("normal", std=std),
        Reason("residual_end", f"gpt2: ends a residual branch, one of {ends.count} ({ends.how}): 0.02/√{ends.count}"),
    )


def _gpt2_embedding(subject: Subject, options: Options) -> Choice:
    return embedding_choice(subject, 0.02, Reason("embedding", "gpt2: embedding, std 0.02"))


def _gpt2_notes(scene: Scene) -> tuple[str, ...]:
    if residual.projections(scene).count:
        return ()
    return ("gpt2: no projection that ends a residual branch was found, so none is scaled down; pass example_inputs",)


def _gan_norm(subject: Subject, options: Options) -> Choice:
    return Choice(
        get_scheme("normal", mean=1.0, std=0.02), Reason("gan_norm", "gan: norm weight, normal about 1, std 0.02")
    )


def _zero_gamma_norm(subject: Subject, options: Options) -> Choice:
    if subject.name in residual.last_norms(subject.scene):
        return Choice(
            get_scheme("zeros"),
            Reason("residual_norm", "zero_gamma: last norm of a residual branch, which starts as the identity"),
        )
    return Choice(get_scheme("ones"), Reason("one", "norm weight: one, the normalised signal as it is"))


def _zero_gamma_notes(scene: Scene) -> tuple[str, ...]:
    if residual.last_norms(scene):
        return ()
    why = "pass example_inputs, so that residual branches can be seen" if scene.graph is None else "the model has none"
    return (f"zero_gamma: no residual branch that ends in a norm was found; {why}",)


POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy(
            "auto",
            "Var(W) = gain² / fan_in with the gain of the function that feeds each layer; hidden-to-hidden orthogonal",
            "LeCun et al. (1998); He et al. (2015), equation 10, taken at the layer's input",
            fed_weight,
            measured=True,
        ),
        Policy(
            "torch_default",
            "what torch's own reset_parameters draws",
            "PyTorch",
            _torch,
            dict.fromkeys(DEFAULTS, _torch),
        ),
        Policy(
            "gpt2",
            "N(0, 0.02²); projections that end a residual branch scaled by 1/√(number of branches)",
            "Radford et al., Language models are unsupervised multitask learners (2019), section 2.3",
            _gpt2_weight,
            {"embedding": _gpt2_embedding, "other": other},
            notes=_gpt2_notes,
        ),
        Policy(
            "gan",
            "weights N(0, 0.02²), norm weights N(1, 0.02²), the rest zero",
            "Radford, Metz & Chintala, DCGAN (2016), section 4",
            _own_scheme(get_scheme("gan_normal"), Reason("gan", "gan: normal, std 0.02")),
            {"norm_weight": _gan_norm},
        ),
        Policy(
            "zero_gamma",
            "as auto, and the last norm weight of each residual branch zero",
            "Goyal et al., Accurate, large minibatch SGD (2017), section 5.1",
            fed_weight,
            {"norm_weight": _zero_gamma_norm},
            notes=_zero_gamma_notes,
        ),
    )
}

POLICY_ALIASES = {"dcgan": "gan", "default": "torch_default", "gpt-2": "gpt2"}


def list_policies() -> list[str]:
    """The recipes for whole models; every scheme's name is a policy too."""
    return list(POLICIES)


def get_policy(name: str, **options: float) -> Policy:
    """A policy by name, with its options set.

    Args:
        name: a recipe (auto, torch_default, gpt2, gan, zero_gamma) or a scheme's name.
        **options: forget_bias, embedding_std, position_std.

    Raises:
        InputError: an unknown name or option (with the nearest names), or a bad number.

    >>> get_policy("auto", forget_bias=0.0).options.forget_bias
    0.0
    """
    known = POLICY_ALIASES.get(name, name) if isinstance(name, str) else name
    if known in POLICIES:
        policy = POLICIES[known]
    elif isinstance(name, str) and (ALIASES.get(name, name) in list_schemes()):
        scheme = get_scheme(name)
        meant = "" if scheme.name == name else f" ({name!r} means {scheme.name})"
        policy = scheme_policy(scheme, f"policy {scheme.label}{meant}")
    else:
        raise unknown("policy or scheme", name, [*POLICIES, *POLICY_ALIASES, *list_schemes(), *ALIASES, "keep"])
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
