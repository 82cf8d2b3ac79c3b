"""The policy argument read: which selector claims which parameter, and what it asks for there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from initlab.errors import InputError, shown
from initlab.guest.modules import WEIGHT_NORM
from initlab.planning.choice import Choice, Options, keep
from initlab.planning.defaults.by_role import DEFAULTS
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.parameters.walk import Slot, Walk
from initlab.planning.policies import as_policy, recipe_names
from initlab.planning.policy import Policy, RoleLaw
from initlab.planning.reason import Reason
from initlab.planning.selection.selectors import Selector, below, matched
from initlab.schemes import Scheme, scheme_like

THE_REST = "*"


def _not_named(subject: Subject, options: Options) -> Choice:
    return keep("not_named", f"kept: the policy does not name it ({THE_REST!r} names the rest)")


KEEP = Policy(
    "keep",
    "every parameter as it is",
    "initlab",
    tuple(RoleLaw(role, _not_named, "kept") for role in ("weight", *DEFAULTS)),
)


@dataclass(frozen=True)
class Override:
    """One selector with what it asks for: a scheme, a whole policy, or None to keep; `alias` is the user's word."""

    selector: Selector
    scheme: Scheme | None = None
    policy: Policy | None = None
    alias: str = ""


def read_policy(policy: Any, found: Walk) -> tuple[Policy, list[Override]]:
    """The policy for what no selector claims, and the selectors with what they ask for, in order.

    A mapping keeps what it does not name; what stands under "*" is for the rest, wherever it stands.
    """
    if not isinstance(policy, Mapping):
        return as_policy(policy), []
    if not policy:
        raise InputError("policy must be a name, a Scheme, or a mapping of selectors to schemes; got an empty mapping")
    rest = policy.get(THE_REST, "keep")
    base = KEEP if isinstance(rest, str) and rest == "keep" else as_policy(rest)
    return base, [_override(key, value, found) for key, value in policy.items() if key != THE_REST]


def _override(key: Any, value: Any, found: Walk) -> Override:
    if isinstance(key, type) and issubclass(key, nn.Module):
        key = f"@{key.__name__}"
    if not isinstance(key, str) or not key:
        raise InputError(f"a selector must be a string such as 'conv*.weight' or '@Linear'; got {shown(key)}")
    selector = below(key, found)
    if isinstance(value, Policy):
        return Override(selector, policy=value)
    if isinstance(value, str) and value == "keep":
        return Override(selector)
    if isinstance(value, str) and value in recipe_names():
        return Override(selector, policy=as_policy(value))
    if not isinstance(value, str | Scheme):
        raise InputError(f"selector {key!r} needs a scheme, a policy or 'keep'; got {shown(value)}")
    scheme = scheme_like(value)
    return Override(selector, scheme=scheme, alias=value if isinstance(value, str) and value != scheme.name else "")


def mapping_words(overrides: list[Override], base: Policy) -> str:
    def asked(item: Override) -> str:
        if item.scheme is not None:
            return item.scheme.label
        return "keep" if item.policy is None else item.policy.name

    parts = [f"{item.selector.text}: {asked(item)}" for item in overrides]
    return "; ".join([*parts, f"the rest: {base.name}"])


@dataclass(frozen=True)
class Claim:
    override: Override
    over: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        beaten = f" (over {', '.join(repr(text) for text in self.over)})" if self.over else ""
        scheme, alias = self.override.scheme, self.override.alias
        meant = f" ({alias!r} means {scheme.name})" if scheme is not None and alias else ""
        return Reason("selector", f"selector {self.override.selector.text!r}{meant}{beaten}")


def claims_of(overrides: list[Override], scene: Scene) -> tuple[dict[str, Claim], list[str]]:
    """For each parameter, the last selector that claims it, and a note on every selector that beat another."""
    subjects = {subject.name: subject for subject in scene.subjects()}
    claims: dict[str, Claim] = {}
    beaten: dict[tuple[str, str], list[str]] = {}
    for override in overrides:
        text = override.selector.text
        for slot in _claimed(override, matched(text, scene.found), subjects):
            earlier = claims.get(slot.name)
            over = () if earlier is None else (*earlier.over, earlier.override.selector.text)
            claims[slot.name] = Claim(override, over)
            if earlier is not None:
                beaten.setdefault((text, earlier.override.selector.text), []).append(slot.name)
    notes = [
        f"selectors {late!r} and {early!r} both claim {names[0]}"
        + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        + f": the later, {late!r}, wins"
        for (late, early), names in beaten.items()
    ]
    return claims, notes


def _claimed(override: Override, slots: list[Slot], subjects: dict[str, Subject]) -> list[Slot]:
    """Of what a selector matches, what it claims.

    A policy or "keep" takes all of it. A scheme under a broad selector (a layer type, a bare wildcard) takes the
    weights; where there are none, what is not a bias; else the biases. Any other pattern takes all that it names, save
    the vectors that its scheme has no law for when it also names matrices.
    """
    if override.scheme is None:
        return slots
    # The length of a weight norm follows from its direction, unless it is named itself.
    lengths = [slot for slot in slots if is_magnitude(slot) and not override.selector.names(slot)]
    slots = [slot for slot in slots if slot not in lengths] or slots
    if override.selector.exact:
        return slots
    roles = {slot.name: subjects[slot.name].role for slot in slots}
    if override.selector.broad:
        weights = [slot for slot in slots if roles[slot.name] == "weight"]
        return weights or [slot for slot in slots if "bias" not in roles[slot.name]] or slots
    fits = [slot for slot in slots if _fits(override.scheme, subjects[slot.name])]
    return fits or slots


def is_magnitude(slot: Slot) -> bool:
    """Whether it is the length that torch's weight norm keeps beside a direction."""
    return slot.is_remade and slot.name.endswith(tuple(length for length, _ in WEIGHT_NORM))


def _fits(scheme: Scheme, subject: Subject) -> bool:
    if len(subject.shape) >= 2 or subject.geometry is None:
        return True
    try:
        scheme.law(subject.geometry)
    except InputError:
        return False
    return True
