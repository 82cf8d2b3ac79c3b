"""Makes a plan: what is known of each parameter, the policy's choice for it, and the selectors that override it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError
from initlab.graph import record
from initlab.graph.record import is_shape
from initlab.guest.batch import batch_of
from initlab.guest.check import dtype_name
from initlab.planning.calibration import calibrated
from initlab.planning.choice import Choice, keep
from initlab.planning.claims import KEEP, THE_REST, Claim, claims_of, mapping_words, read_policy
from initlab.planning.garbage import seldom_collected
from initlab.planning.joins import sized
from initlab.planning.ledger import Held, equal_warnings, some
from initlab.planning.loaded import is_marked_loaded
from initlab.planning.magnitudes import with_magnitudes
from initlab.planning.memory import DTYPES, PARTS
from initlab.planning.partitions import seen_whole
from initlab.planning.plan import BufferEntry, Plan, PlanEntry
from initlab.planning.policy import Policy
from initlab.planning.predicted import with_predictions
from initlab.planning.reason import MADE, Reason
from initlab.planning.scene import Scene, Subject, scene_of
from initlab.planning.shards import is_split, local_tensor
from initlab.planning.spectral import spectral_norms
from initlab.planning.stacks import deep_stacks, with_stacks
from initlab.planning.targets import owners, targets_of
from initlab.planning.walk import Walk, walk
from initlab.schemes import Geometry


def plan(model: nn.Module, example_inputs: Any = None, policy: Any = "auto") -> Plan:
    """The law of every parameter of `model`, with the reason for each. Nothing is written.

    `auto` gives each weight Var(W) = gain² / fan_in, the gain being that of the function that feeds the layer: read
    from one forward pass on `example_inputs`; else from the order of a Sequential where that is certain; else 1.

    Args:
        model: any module; it may be on the meta device.
        example_inputs: for one forward pass: a tensor, array or data frame; a tuple of positional or a mapping of
            keyword arguments; (X, Y); a DataLoader or Dataset, of which one batch is read; or the shape of the one
            input.
        policy: a name (`auto`, another recipe of `list_policies()`, or any scheme's), a Scheme, or a mapping, in
            order, of selectors to schemes, policies or "keep". A mapping plans what its selectors name and keeps
            everything else; `"*"` names the rest (`{"head": "zeros", "*": "auto"}`). Where two selectors claim one
            parameter, the later wins. A scheme that is given for the whole model, a layer type or a wildcard goes to
            the weights there; biases, norms and embeddings keep their defaults unless named (`"*.bias"`). Frozen
            parameters (requires_grad False) and those that Hugging Face marks as loaded are kept, unless a selector
            claims them.

    Returns:
        A `Plan`; print it for the table, or call `.explain(name)`.

    Raises:
        InputError: a bad policy, a selector that matches nothing, a model that cannot be planned or that lacks what
            the policy needs.

    >>> import initlab
    >>> net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> initlab.plan(net, policy={"@Linear": "he_normal", "2.weight": "zeros"})["2.weight"].reason
    "selector '2.weight' (over '@Linear')"
    """
    with seen_whole(model):
        return make_plan(model, walk(model), example_inputs, policy)


@seldom_collected()
def make_plan(model: nn.Module, found: Walk, example_inputs: Any, policy: Any) -> Plan:
    base, overrides = read_policy(policy, found)
    example_inputs, read = _example(model, example_inputs)
    policies = [base, *(override.policy for override in overrides if override.policy is not None)]
    graph = None if example_inputs is None else record(model, example_inputs)
    measured = any(policy.measured for policy in policies)
    graph = replace(graph, coarse=True) if graph is not None and measured else graph
    scene = scene_of(model, found, graph)
    claims, notes = claims_of(overrides, scene)
    _check_needs(scene, claims, base)
    entries, unmeasured = tuple(_entry(s, claims.get(s.name), base) for s in scene.subjects()), ""
    if graph is not None and measured:
        fixed = {entry.name for entry in entries if not _measured(claims.get(entry.name), base)}
        deep = deep_stacks(graph, entries, fixed)
        targets = targets_of(graph, {entry.name: entry for entry in entries}, owners(entries))
        targets = targets.besides({name for stack, _ in deep for name in stack.weights})
        graph = sized(graph, targets, entries, fixed)
        scene = scene_of(model, found, graph)  # what feeds each weight, now that the sizes before it are known
        entries = tuple(_entry(s, claims.get(s.name), base) for s in scene.subjects())
        entries = with_predictions(entries, graph, targets, owners(entries), fixed)
        entries, held = with_stacks(entries, deep)
        entries = with_magnitudes(entries)  # the pass runs with them, and not with the values that the model holds
        entries, unmeasured = calibrated(
            model, entries, targets, example_inputs, {*fixed, *held}, spectral_norms(found)
        )
    for policy in policies:
        if policy.profiled is not None and graph is not None:
            entries = policy.profiled(model, entries, example_inputs)
    entries = with_magnitudes(entries)
    notes = [*(note for policy in policies if policy.notes is not None for note in policy.notes(scene)), *notes]
    if all(entry.action == "keep" for entry in entries):
        notes.append(f"nothing is to be written; {THE_REST!r} in a mapping names all that its selectors do not")
    notes.extend([*read, unmeasured] if unmeasured else read)
    notes.extend(_warnings(entries, found, recorded=graph is not None))
    words = base.name if not overrides else mapping_words(overrides, base)
    return Plan(entries, _buffers(found), words, type(model).__name__, tuple(notes))


def _example(model: nn.Module, example_inputs: Any) -> tuple[Any, tuple[str, ...]]:
    """The example inputs as one call of the model, read once, and what was said of it; None and a shape as they are."""
    if example_inputs is None or is_shape(example_inputs):
        return example_inputs, ()
    batch = batch_of(model, example_inputs, argument="example_inputs", others=", or a shape")
    unused = () if batch.targets is None else ("example_inputs: a plan does not use their targets",)
    return batch.inputs, (*batch.notes, *unused)


def _measured(claim: Claim | None, base: Policy) -> bool:
    """Whether a pass may correct what a parameter gets: by a policy that asks for it, and no scheme of the user's."""
    policy = base if claim is None else claim.override.policy
    return policy is not None and policy.measured


def _choice(subject: Subject, claim: Claim | None, base: Policy) -> Choice:
    if claim is None:
        kept = base.choose(subject) if base is KEEP else _unwritable(subject, claim, base.of_loaded(subject))
        return kept or base.choose(subject)
    return _unwritable(subject, claim) or _claimed_choice(subject, claim)


def _check_needs(scene: Scene, claims: Mapping[str, Claim], base: Policy) -> None:
    """Every policy that is asked for finds what it needs among the parameters that it is asked for."""
    asked: dict[int, tuple[Policy, list[Subject]]] = {}
    for subject in scene.subjects():
        claim = claims.get(subject.name)
        policy = base if claim is None else claim.override.policy
        if policy is not None and policy.needs:
            asked.setdefault(id(policy), (policy, []))[1].append(subject)
    for policy, subjects in asked.values():
        policy.check(scene, subjects)


def _entry(subject: Subject, claim: Claim | None, base: Policy) -> PlanEntry:
    choice = _choice(subject, claim, base)
    info, tensor = subject.info, subject.slot.tensor
    geometry = subject.geometry
    entry = PlanEntry(
        name=subject.name,
        shape=subject.shape,
        dtype=dtype_name(tensor.dtype),
        fans=geometry.fans if geometry is not None and geometry.matrix_like and subject.role != "other" else None,
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
        return replace(choice, reason=choice.reason.but(f"{claim.reason}: {choice.reason}"))
    if override.scheme is None:
        return keep("keep", f"kept as asked: {claim.reason}")
    return Choice(override.scheme, claim.reason)


def _unwritable(subject: Subject, claim: Claim | None, of_loaded: bool = False) -> Choice | None:
    """A parameter that no law can be written into, or that is frozen and not named; None for every other.

    Args:
        subject: the parameter.
        claim: the selector that names it.
        of_loaded: whether what it gets is made of its loaded values.
    """
    kept = claim is not None and claim.override.scheme is None and claim.override.policy is None
    tensor = subject.slot.tensor
    if kept:
        return None
    if tensor.dtype not in DTYPES and tensor.dtype not in PARTS:
        able = ", ".join(DTYPES.values())
        if (claim is None or claim.override.selector.broad) and not tensor.requires_grad:
            return keep("dtype", f"kept: frozen, and {dtype_name(tensor.dtype)} cannot be drawn (only {able})")
        return _refuse("dtype", f"{dtype_name(tensor.dtype)} cannot be drawn (only {able}); keep it")
    if type(tensor).__name__ == "FlatParameter":
        why = "a flat parameter of FSDP1, whose layers cannot be told apart: write before wrapping, or use fully_shard"
        return _refuse("flat_parameter", why)
    if _made_orthogonal(subject):
        why = "its orthogonal parametrization keeps signs and reflections in it, from which it makes the weight"
        if claim is not None and claim.override.selector.exact:
            return _refuse("orthogonal_parametrization", f"{why}; keep it")
        return keep("orthogonal_parametrization", f"kept: {why}")
    if claim is None and not of_loaded and is_marked_loaded(tensor):
        return keep("loaded", "kept: loaded, as Hugging Face marks it, and not named in the policy")
    if (claim is None or claim.override.selector.broad) and 0 in subject.shape and len(subject.shape) > 1:
        return keep("empty", "kept: it has no elements")
    if claim is None and not of_loaded and not tensor.requires_grad:
        return keep("frozen", "kept: frozen (requires_grad is False) and not named in the policy")
    return None


def _refuse(code: str, words: str) -> Choice:
    return Choice(None, Reason(code, words), action="refuse")


def _made_orthogonal(subject: Subject) -> bool:
    """Whether torch.nn.utils.parametrizations.orthogonal holds it: random values there give a weight of zeros."""
    return subject.slot.plain_name != subject.name and any(
        type(step).__name__ == "_Orthogonal" for step in subject.slot.owner.module.children()
    )


def _with_law(entry: PlanEntry, choice: Choice, subject: Subject) -> PlanEntry:
    scheme = choice.scheme
    assert scheme is not None
    try:
        geometry = subject.geometry or Geometry.bare(entry.shape)
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
    return entry.but(
        law=law,
        std=std,
        scheme=scheme.label,
        reason=choice.reason.but(choice.reason + note),
        action="write",
        recipe=scheme,
        gain=choice.gain,
    )


def _buffers(found: Walk) -> tuple[BufferEntry, ...]:
    return tuple(
        BufferEntry(
            slot.name,
            tuple(int(size) for size in slot.tensor.shape),
            dtype_name(slot.tensor.dtype),
            Reason("buffer", "buffers are kept: they are state, not weights"),
            slot.ties,
        )
        for slot in found.buffers
    )


def _warnings(entries: tuple[PlanEntry, ...], found: Walk, *, recorded: bool) -> list[str]:
    notes = []
    kept = {entry.name for entry in entries if entry.action == "keep"}
    frozen = [entry.name for entry in entries if entry.code == "frozen"]
    if frozen:
        notes.append(
            f"{len(frozen)} frozen parameters are kept, {frozen[0]} first; name them in the policy to draw them"
        )
    if loaded := [entry.name for entry in entries if entry.code == "loaded"]:
        notes.append(
            f"{len(loaded)} loaded parameters are kept, {loaded[0]} first; name them in the policy to draw them"
        )
    unknown = [e.name for e in entries if e.code == "unknown_role"]
    if unknown:
        notes.append(
            f"{len(unknown)} parameters are kept since their role is not known: {some(unknown)}; "
            "name them in the policy" + ("" if recorded else ", or pass example_inputs so that their use can be seen")
        )
    unseen = [e.name for e in entries if e.code == "unused"]
    if unseen:
        notes.append(
            f"{len(unseen)} weights get gain 1 since the recorded pass does not use them, or runs them where it cannot "
            f"be followed (scripted code): {some(unseen)}"
        )
    if seen := [name for name, module in found.modules.items() if _has_seen_data(module)]:
        which = f"{len(seen)} layers ({seen[0]} first) hold running statistics"
        notes.append(f"{which} of earlier data, which are kept: call reset_running_stats() on each for a fresh start")
    drawn = kept - {entry.name for entry in entries if entry.code in MADE}
    held = [Held(slot.name, local_tensor(slot.tensor), None) for slot in found.parameters if slot.name in drawn]
    notes.extend(equal_warnings(held))
    return notes


def _has_seen_data(module: nn.Module) -> bool:
    count = getattr(module, "num_batches_tracked", None)
    return isinstance(count, torch.Tensor) and count.device.type == "cpu" and bool(count != 0)
