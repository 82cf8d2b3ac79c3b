"""Makes a plan: what is known of each parameter, the policy's choice for it, and the selectors that override it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from initlab.errors import InputError, argued
from initlab.graph import record
from initlab.graph.record import is_shape
from initlab.guest.batch import batch_of
from initlab.guest.check import dtype_name
from initlab.planning.calibration import calibrated, unreached
from initlab.planning.calibration.derived import derived
from initlab.planning.calibration.joins import sized
from initlab.planning.calibration.read_outs import faint
from initlab.planning.choice import Choice, keep
from initlab.planning.garbage import seldom_collected
from initlab.planning.memory.partitions import seen_whole
from initlab.planning.memory.shards import is_split
from initlab.planning.parameters.scene import Scene, Subject, scene_of
from initlab.planning.parameters.walk import Walk, walk
from initlab.planning.plan import BufferEntry, Plan, PlanEntry, owners
from initlab.planning.policy import Policy
from initlab.planning.reason import Reason
from initlab.planning.selection.claims import KEEP, THE_REST, Claim, claims_of, mapping_words, read_policy
from initlab.planning.selection.writable import unwritable
from initlab.planning.sizes.magnitudes import with_magnitudes
from initlab.planning.sizes.normed import sized_by_its_use
from initlab.planning.sizes.predicted import with_predictions
from initlab.planning.sizes.stacks import deep_stacks, with_stacks
from initlab.planning.sizes.survey import targets_of
from initlab.planning.writing.cautions import cautions
from initlab.planning.writing.spectral import spectral_norms
from initlab.schemes import Geometry


@argued
def plan(model: nn.Module, example_inputs: Any = None, policy: Any = "auto") -> Plan:
    """The law of every parameter of `model`, with the reason for each. Nothing is written.

    `auto` gives each weight Var(W) = gain² / fan_in, the gain being that of the function that feeds the layer: read
    from one forward pass on `example_inputs`; else from the order of a Sequential where that is certain; else 1.

    Args:
        model: any module; it may be on the meta device, where rules alone bring outputs to their targets, as they do
            for a model of more than 2³² elements.
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
    """`plan` of a model that was walked, and whose partitions stand whole."""
    base, overrides = read_policy(policy, found)
    example_inputs, read = _example(model, example_inputs)
    policies = [base, *(override.policy for override in overrides if override.policy is not None)]
    graph = None if example_inputs is None else record(model, example_inputs)
    measured = graph is not None and any(policy.measured for policy in policies)
    scene = scene_of(model, found, replace(graph, coarse=True) if graph is not None and measured else graph)
    claims, notes = claims_of(overrides, scene)
    _check_needs(scene, claims, base)
    entries, unmeasured = _entries(scene, claims, base), ""
    if measured:
        scene, entries, unmeasured = _measured(scene, entries, claims, base, example_inputs)
    for policy in policies:
        if policy.profiled is not None and graph is not None:
            entries = policy.profiled(model, entries, example_inputs)
    entries = with_magnitudes(entries)
    notes = [*(note for policy in policies if policy.notes is not None for note in policy.notes(scene)), *notes]
    if all(entry.action == "keep" for entry in entries):
        notes.append(f"nothing is to be written; {THE_REST!r} in a mapping names all that its selectors do not")
    notes.extend([*read, unmeasured] if unmeasured else read)
    notes.extend(cautions(entries, found, recorded=graph is not None))
    notes.extend([*unreached(entries), *faint(entries)])
    words = base.name if not overrides else mapping_words(overrides, base)
    return Plan(entries, _buffers(found), words, type(model).__name__, tuple(notes))


def _measured(
    scene: Scene, entries: tuple[PlanEntry, ...], claims: Mapping[str, Claim], base: Policy, example_inputs: Any
) -> tuple[Scene, tuple[PlanEntry, ...], str]:
    """The scene with the sizes that outputs are to have, the entries as a pass corrects them, and why it did not."""
    graph, found = scene.graph, scene.found
    assert graph is not None
    fixed = {entry.name for entry in entries if not _correctable(claims.get(entry.name), base)}
    fixed |= {entry.name for entry in entries if sized_by_its_use(graph, graph.value_of(entry.name, *entry.tied_to))}
    deep = deep_stacks(graph, entries, fixed)
    targets = targets_of(graph, {entry.name: entry for entry in entries}, owners(entries))
    targets = targets.besides({name for stack, _ in deep for name in stack.weights})
    graph = sized(graph, targets, entries, fixed)
    scene = scene_of(scene.model, found, graph)  # what feeds each weight, now that the sizes before it are known
    entries = _entries(scene, claims, base)
    entries = with_predictions(entries, graph, targets, owners(entries), fixed)
    entries, held = with_stacks(entries, deep)
    entries = with_magnitudes(entries)  # the pass runs with them, and not with the values that the model holds
    entries, unmeasured = calibrated(
        scene.model, entries, targets, example_inputs, {*fixed, *held}, spectral_norms(found)
    )
    if unmeasured:
        entries = derived(entries, graph, targets, {*fixed, *held})
    return scene, entries, unmeasured


def _example(model: nn.Module, example_inputs: Any) -> tuple[Any, tuple[str, ...]]:
    """The example inputs as one call of the model, read once, and what was said of it; None and a shape as they are."""
    if example_inputs is None or is_shape(example_inputs):
        return example_inputs, ()
    batch = batch_of(model, example_inputs, argument="example_inputs", others=", or a shape")
    unused = () if batch.targets is None else ("example_inputs: a plan does not use their targets",)
    return batch.inputs, (*batch.notes, *unused)


def _correctable(claim: Claim | None, base: Policy) -> bool:
    """Whether a pass may correct what a parameter gets: by a policy that asks for it, and no scheme of the user's."""
    policy = base if claim is None else claim.override.policy
    return policy is not None and policy.measured


def _choice(subject: Subject, claim: Claim | None, base: Policy) -> Choice:
    if claim is None:
        kept = base.choose(subject) if base is KEEP else unwritable(subject, claim, base.of_loaded(subject))
        return kept or base.choose(subject)
    return unwritable(subject, claim) or _claimed_choice(subject, claim)


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


def _entries(scene: Scene, claims: Mapping[str, Claim], base: Policy) -> tuple[PlanEntry, ...]:
    return tuple(_entry(subject, claims.get(subject.name), base) for subject in scene.subjects())


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
