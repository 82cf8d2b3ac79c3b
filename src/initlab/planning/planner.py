"""Makes a plan: what is known of each parameter, the policy's choice for it, and the selectors that override it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError
from initlab.graph import geometry_of, record
from initlab.planning.ledger import Held, equal_warnings
from initlab.planning.magnitudes import with_magnitudes
from initlab.planning.memory import DTYPES, dtype_name
from initlab.planning.plan import BufferEntry, Plan, PlanEntry
from initlab.planning.policies import POLICIES, POLICY_ALIASES, Policy, as_policy
from initlab.planning.rules import Choice
from initlab.planning.scene import Scene, Subject
from initlab.planning.selectors import Selector, matched
from initlab.planning.shards import is_split, local_tensor
from initlab.planning.walk import Slot, Walk, walk
from initlab.sampling import canonical_name
from initlab.schemes import Geometry, Scheme
from initlab.schemes.scheme import scheme_like


def plan(model: nn.Module, example_inputs: Any = None, policy: Any = "auto") -> Plan:
    """The law of every parameter of `model`, with the reason for each. Nothing is written.

    `auto` gives each weight Var(W) = gain² / fan_in, the gain being that of the function that feeds the layer: read
    from one forward pass on `example_inputs`; else from the order of a Sequential where that is certain; else 1.

    Args:
        model: any module; it may be on the meta device.
        example_inputs: for one forward pass: a tensor, a tuple of positional arguments, a dict of keyword arguments,
            or the shape of the one input.
        policy: a name (`auto`, `torch_default`, `gpt2`, `gan`, `zero_gamma`, or any scheme's), a Scheme, or an ordered
            mapping of selectors to schemes, policies or "keep", on top of `auto`; where two selectors claim one
            parameter, the later wins. A scheme that is given for the whole model, a layer type or a wildcard goes to
            the weights there; biases, norms and embeddings keep their defaults unless named (`"*.bias"`). Frozen
            parameters (requires_grad False) are taken for loaded ones and kept, unless a selector claims them.

    Returns:
        A `Plan`; print it for the table, or call `.explain(name)`.

    Raises:
        InputError: a bad policy, a selector that matches nothing, a model that cannot be planned.

    >>> import initlab
    >>> net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> initlab.plan(net, policy={"@Linear": "he_normal", "2.weight": "zeros"})["2.weight"].reason
    "selector '2.weight' (over '@Linear')"
    """
    return make_plan(model, walk(model), example_inputs, policy)


def make_plan(model: nn.Module, found: Walk, example_inputs: Any, policy: Any) -> Plan:
    base, overrides = _read_policy(policy, found)
    graph = None if example_inputs is None else record(model, example_inputs)
    infos = {canonical_name(name): info for name, info in geometry_of(model, graph).items()}
    scene = Scene(model, found, infos, graph)
    claims, notes = _claims(overrides, scene)
    entries = with_magnitudes(tuple(_entry(s, claims.get(s.name), base) for s in scene.subjects()))
    if base.notes is not None:
        notes = [*base.notes(scene), *notes]
    notes.extend(_warnings(entries, found))
    words = base.name if not overrides else _mapping_words(overrides, base)
    return Plan(entries, _buffers(found), words, type(model).__name__, tuple(notes))


# -- the policy argument --


@dataclass(frozen=True)
class Override:
    """One selector with what it asks for: a scheme, a whole policy, or None to keep."""

    selector: Selector
    scheme: Scheme | None = None
    policy: Policy | None = None


def _read_policy(policy: Any, found: Walk) -> tuple[Policy, list[Override]]:
    if not isinstance(policy, Mapping):
        return as_policy(policy), []
    if not policy:
        raise InputError("policy must be a name, a Scheme, or a mapping of selectors to schemes; got an empty mapping")
    return POLICIES["auto"], [_override(key, value) for key, value in policy.items()]


def _override(key: Any, value: Any) -> Override:
    if isinstance(key, type) and issubclass(key, nn.Module):
        key = f"@{key.__name__}"
    if not isinstance(key, str) or not key:
        raise InputError(f"a selector must be a string such as 'conv*.weight' or '@Linear'; got {key!r}")
    selector = Selector(key)
    if isinstance(value, Policy):
        return Override(selector, policy=value)
    if isinstance(value, str) and value == "keep":
        return Override(selector)
    if isinstance(value, str) and POLICY_ALIASES.get(value, value) in POLICIES:
        return Override(selector, policy=as_policy(value))
    if not isinstance(value, str | Scheme):
        raise InputError(f"selector {key!r} needs a scheme, a policy or 'keep'; got {value!r}")
    return Override(selector, scheme=scheme_like(value))


def _mapping_words(overrides: list[Override], base: Policy) -> str:
    def asked(item: Override) -> str:
        if item.scheme is not None:
            return item.scheme.label
        return "keep" if item.policy is None else item.policy.name

    parts = [f"{item.selector.text}: {asked(item)}" for item in overrides]
    return "; ".join([*parts, f"else {base.name}"])


# -- which selector claims which parameter --


@dataclass(frozen=True)
class Claim:
    override: Override
    over: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        beaten = f" (over {', '.join(repr(text) for text in self.over)})" if self.over else ""
        return f"selector {self.override.selector.text!r}{beaten}"


def _claims(overrides: list[Override], scene: Scene) -> tuple[dict[str, Claim], list[str]]:
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
    if override.scheme is None or override.selector.exact:
        return slots
    roles = {slot.name: subjects[slot.name].role for slot in slots}
    if override.selector.broad:
        weights = [slot for slot in slots if roles[slot.name] == "weight"]
        return weights or [slot for slot in slots if "bias" not in roles[slot.name]] or slots
    fits = [slot for slot in slots if _fits(override.scheme, subjects[slot.name])]
    return fits or slots


def _fits(scheme: Scheme, subject: Subject) -> bool:
    if len(subject.shape) >= 2 or subject.geometry is None:
        return True
    try:
        scheme.law(subject.geometry)
    except InputError:
        return False
    return True


# -- entries --


def _entry(subject: Subject, claim: Claim | None, base: Policy) -> PlanEntry:
    choice = _unwritable(subject, claim) or (base.choose(subject) if claim is None else _claimed_choice(subject, claim))
    info, tensor = subject.info, subject.slot.tensor
    geometry = subject.geometry
    entry = PlanEntry(
        name=subject.name,
        shape=subject.shape,
        dtype=dtype_name(tensor.dtype),
        fans=geometry.fans if geometry is not None and geometry.matrix_like and geometry.kind != "other" else None,
        law=None,
        std=None,
        scheme=choice.action,
        reason=choice.reason,
        action=choice.action,
        tied_to=subject.slot.ties,
        geometry=geometry,
        role=subject.role,
        layer=type(subject.module).__name__ if info is None else info.module_type,
        asked=claim is not None and not claim.override.selector.broad,
    )
    return entry if choice.scheme is None else _with_law(entry, choice, subject)


def _claimed_choice(subject: Subject, claim: Claim) -> Choice:
    override = claim.override
    if override.policy is not None:
        choice = override.policy.choose(subject)
        return replace(choice, reason=f"{claim.reason}: {choice.reason}")
    if override.scheme is None:
        return Choice(None, f"kept as asked: {claim.reason}", action="keep")
    return Choice(override.scheme, claim.reason)


def _unwritable(subject: Subject, claim: Claim | None) -> Choice | None:
    """A parameter that no law can be written into, or that is frozen and not named; None for every other."""
    kept = claim is not None and claim.override.scheme is None and claim.override.policy is None
    tensor = subject.slot.tensor
    if kept:
        return None
    if tensor.dtype not in DTYPES:
        able = ", ".join(DTYPES.values())
        return Choice(None, f"{dtype_name(tensor.dtype)} cannot be drawn (only {able}); keep it", action="refuse")
    if type(tensor).__name__ == "FlatParameter":
        why = "a flat parameter of FSDP1, whose layers cannot be told apart: write before wrapping, or use fully_shard"
        return Choice(None, why, action="refuse")
    if claim is None and not tensor.requires_grad:
        return Choice(None, "kept: frozen (requires_grad is False) and not named in the policy", action="keep")
    return None


def _with_law(entry: PlanEntry, choice: Choice, subject: Subject) -> PlanEntry:
    scheme = choice.scheme
    assert scheme is not None
    try:
        geometry = subject.geometry or _bare(subject)
        law = scheme.law(geometry, choice.gain)
        law.check(entry.shape)
    except InputError as error:
        raise InputError(f"{entry.name!r} ({choice.reason}): {error}") from None
    note = ""
    if law.needs_whole and is_split(subject.slot.tensor):
        note = "; sharded: made whole on each process, one tensor at a time, since this law cannot be drawn in parts"
    std = law.std_of(entry.shape)
    if std == 0 and entry.role == "weight" and scheme.name not in ("zeros", "ones", "constant"):
        note += "; std 0: every value is the mean"
    return replace(
        entry,
        law=law,
        std=std,
        scheme=scheme.label,
        reason=choice.reason + note,
        action="write",
        recipe=scheme,
        gain=choice.gain,
    )


def _bare(subject: Subject) -> Geometry:
    """The geometry of a parameter that no layer explains: torch's layout where its shape allows that."""
    shape = subject.shape
    if len(shape) >= 2:
        return Geometry.from_shape(shape) if 0 not in shape else Geometry(shape, 1.0, 1.0)
    return Geometry(shape, 1.0, 1.0, kind="other")


def _buffers(found: Walk) -> tuple[BufferEntry, ...]:
    return tuple(
        BufferEntry(
            slot.name,
            tuple(int(size) for size in slot.tensor.shape),
            dtype_name(slot.tensor.dtype),
            "buffers are kept: they are state, not weights",
            slot.ties,
        )
        for slot in found.buffers
    )


def _warnings(entries: tuple[PlanEntry, ...], found: Walk) -> list[str]:
    notes = []
    kept = {entry.name for entry in entries if entry.action == "keep"}
    frozen = [entry.name for entry in entries if entry.action == "keep" and "frozen" in entry.reason]
    if frozen:
        notes.append(
            f"{len(frozen)} frozen parameters are kept, {frozen[0]} first; name them in the policy to draw them"
        )
    if seen := [name for name, module in found.modules.items() if _has_seen_data(module)]:
        which = f"{len(seen)} layers ({seen[0]} first) hold running statistics"
        notes.append(f"{which} of earlier data, which are kept: call reset_running_stats() on each for a fresh start")
    held = [Held(slot.name, local_tensor(slot.tensor), None) for slot in found.parameters if slot.name in kept]
    notes.extend(equal_warnings(held))
    return notes


def _has_seen_data(module: nn.Module) -> bool:
    count = getattr(module, "num_batches_tracked", None)
    return isinstance(count, torch.Tensor) and count.device.type == "cpu" and bool(count != 0)
