"""A start against a reference: a policy or a plan, another model, a checkpoint, or a log of `streams`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from initlab.data import load_weights
from initlab.planning.audit.evidence import Evidence, Seen
from initlab.planning.audit.results import Departure
from initlab.planning.audit.structure import structure_of
from initlab.planning.memory.fitted import family_of, fit_law, relative_error
from initlab.planning.memory.samples import values_of
from initlab.planning.memory.shards import local_tensor
from initlab.planning.named_streams.log import StreamLog, StreamRecord
from initlab.planning.plan import Plan, PlanEntry
from initlab.planning.planner import make_plan
from initlab.reporting import format_number
from initlab.reporting.finding import Finding
from initlab.sampling import canonical_name
from initlab.sampling.laws import Law

_ERRORS = 5.0  # standard errors by which two stds may differ and count as one
_LEAST = 5e-3  # and by what share of them at any rate
_WIDE = 6.0  # std from the mean to the nearer end of a truncated normal, from which it cuts nothing

Other = TypeVar("Other")


def compared(reference: Any, evidence: Evidence, example_inputs: Any) -> tuple[str, list[Departure], list[Finding]]:
    """(the reference in words, the differences, findings that only it shows).

    Args:
        reference: a `Plan`, or what `initlab.plan` takes as policy; a module; a state dict or the path of a weight
            file; or a `StreamLog`.
        evidence: the audited model.
        example_inputs: for the plan that a policy makes.

    Raises:
        InputError: none of these.
    """
    if isinstance(reference, StreamLog):
        return f"log of {reference.model}", list(_from_log(reference, evidence)), list(_calls(reference))
    if isinstance(reference, nn.Module):
        return f"model {type(reference).__name__}", list(_from_model(reference, evidence)), []
    state = _state(reference)
    if state is not None:
        differences = list(_from_state(state, evidence))
        return "checkpoint", differences, list(_redrawn(differences, evidence))
    plan = reference
    if not isinstance(plan, Plan):
        plan = make_plan(evidence.scene.model, evidence.scene.found, example_inputs, reference)
    return f"plan {plan.policy}", list(_from_plan(plan, evidence)), []


def _state(reference: Any) -> Mapping[str, torch.Tensor] | None:
    if isinstance(reference, os.PathLike) or (isinstance(reference, str) and os.path.sep in reference):
        return load_weights(reference)
    if isinstance(reference, str) and reference.endswith((".safetensors", ".pt", ".pth", ".bin", ".npz")):
        return load_weights(reference)
    if isinstance(reference, Mapping) and reference and all(isinstance(v, torch.Tensor) for v in reference.values()):
        return reference
    return None


def _beside(
    evidence: Evidence,
    theirs: Mapping[str, Other],
    shape: Callable[[Other], tuple[int, ...]],
    differ: Callable[[Other, Seen], Iterator[Departure]],
    missing: bool = True,
) -> Iterator[Departure]:
    """How each parameter departs from what the reference has under one of its names.

    Args:
        evidence: the audited model.
        theirs: what the reference has, by canonical name.
        shape: the shape of such a thing.
        differ: how a parameter departs from one of its shape.
        missing: whether what the reference has alone is said too.
    """
    left = dict(theirs)
    for one in evidence.seen:
        names = [name for name in (one.name, *one.start.tied_to) if name in theirs]
        for name in names:
            left.pop(name, None)
        if not names:
            yield Departure(one.name, "extra", "no such parameter", "×".join(map(str, one.start.shape)))
            continue
        other = theirs[names[0]]
        if shape(other) != one.start.shape:
            yield Departure(one.name, "shape", str(shape(other)), str(one.start.shape))
        else:
            yield from differ(other, one)
    for name, other in left.items() if missing else ():
        yield Departure(name, "missing", "×".join(map(str, shape(other))), "no such parameter")


def _shape(tensor: torch.Tensor) -> tuple[int, ...]:
    return tuple(int(size) for size in tensor.shape)


def _from_plan(plan: Plan, evidence: Evidence) -> Iterator[Departure]:
    def differ(entry: PlanEntry, one: Seen) -> Iterator[Departure]:
        return iter(()) if entry.law is None else _against_law(entry, entry.law, one)

    return _beside(evidence, {entry.name: entry for entry in plan.entries}, lambda entry: entry.shape, differ)


def _against_law(entry: PlanEntry, law: Law, one: Seen) -> Iterator[Departure]:
    expected, seen = law.std_of(entry.shape), one.law
    if not seen.count:
        return
    family = family_of(law)
    found = one.structure.family or seen.family
    mean = law.mean_of(entry.shape)
    if family == "constant" and (found != "constant" or abs(seen.mean - mean) > 1e-2 * abs(mean)):
        yield Departure(one.name, "law", law.describe(), seen.describe())
    elif family != "constant" and not math.isnan(expected):
        error = expected * relative_error(family, seen.count)
        if abs(seen.std - expected) > max(_ERRORS * error, _LEAST * expected):
            yield Departure(one.name, "std", format_number(expected, 4), format_number(seen.std, 4))
        elif family in ("normal", "uniform", "truncated_normal") and found != family and seen.sure > 0.99:
            yield Departure(one.name, "law", law.describe(), seen.describe())


def _from_model(model: nn.Module, evidence: Evidence) -> Iterator[Departure]:
    theirs = {canonical_name(name): parameter for name, parameter in model.named_parameters()}
    return _beside(evidence, theirs, _shape, _against_values)


def _against_values(other: torch.Tensor, one: Seen) -> Iterator[Departure]:
    theirs = fit_law(values_of(other))
    mine, structure = one.law, structure_of(other, one.subject.geometry)
    if theirs.count == 0 or mine.count == 0:
        return
    if structure.family != one.structure.family:
        yield Departure(one.name, "law", structure.family or theirs.describe(), one.structure.family or mine.describe())
    elif theirs.family == "constant" or mine.family == "constant":
        if (theirs.family, theirs.mean) != (mine.family, mine.mean):
            yield Departure(one.name, "law", theirs.describe(), mine.describe())
    else:
        error = math.hypot(*(relative_error(law.family, law.count) for law in (theirs, mine)))
        if abs(math.log(mine.std / theirs.std)) > max(_ERRORS * error, _LEAST):
            yield Departure(one.name, "std", format_number(theirs.std, 4), format_number(mine.std, 4))
        elif theirs.family != mine.family and min(theirs.sure, mine.sure) > 0.99:
            yield Departure(one.name, "law", theirs.describe(), mine.describe())


def _from_state(state: Mapping[str, torch.Tensor], evidence: Evidence) -> Iterator[Departure]:
    def differ(theirs: torch.Tensor, one: Seen) -> Iterator[Departure]:
        if not _same_values(theirs, one.tensor):
            yield Departure(one.name, "values", fit_law(values_of(theirs)).describe(), one.law.describe())

    held = {canonical_name(name): tensor for name, tensor in state.items()}
    return _beside(evidence, held, _shape, differ, missing=False)  # a checkpoint has more than parameters


def _same_values(theirs: torch.Tensor, mine: torch.Tensor) -> bool:
    local = local_tensor(mine.detach())
    if local.is_meta or local.shape != theirs.shape:
        return True  # a shard, or nothing: not told from here
    return bool(torch.equal(theirs.to(dtype=local.dtype, device=local.device), local))


def _redrawn(differences: list[Departure], evidence: Evidence) -> Iterator[Finding]:
    """Parameters of a checkpoint that hold a fresh draw, or constants, in its place."""
    changed = [difference.name for difference in differences if difference.what == "values"]
    fresh = [name for name in changed if (one := evidence.of(name)) is not None and one.law.family]
    if fresh:
        yield Finding(
            "re-initialised", "error", fresh[0],
            f"{len(fresh)} parameters of the checkpoint hold a fresh draw: {', '.join(fresh[:8])}",
            "The model's own start ran after loading: load last, or keep what is loaded (init_(loaded=…)).",
        )  # fmt: skip


def _from_log(log: StreamLog, evidence: Evidence) -> Iterator[Departure]:
    def differ(record: StreamRecord, one: Seen) -> Iterator[Departure]:
        if not math.isnan(record.std) and abs(one.law.std - record.std) > 1e-6 * max(record.std, 1e-12):
            yield Departure(one.name, "std", format_number(record.std, 4), format_number(one.law.std, 4))

    theirs = {record.name: record for record in log.records}
    return _beside(evidence, theirs, lambda record: record.shape, differ, missing=False)  # buffers are in it too


def _calls(log: StreamLog) -> Iterator[Finding]:
    """What the order of calls shows: drawn and then overwritten, drawn twice, cuts that cut nothing, not touched."""
    for record in log.records:
        calls = "; ".join(record.calls)
        if record.overwritten:
            yield Finding(
                "overwritten", "warning", record.name, f"drawn and then overwritten: {calls}",
                "The draw is lost: leave out whichever is not meant.",
            )  # fmt: skip
        elif record.redrawn:
            yield Finding(
                "drawn twice", "info", record.name, f"drawn {record.draws} times: {calls}",
                "The last draw counts; a second start on top of the first is often not meant.",
            )  # fmt: skip
        yield from _wide_cuts(record)
        if record.status == "untouched" and not record.buffer:
            yield Finding(
                "missed", "warning", record.name, f"never touched; it holds {record.law}",
                "The model's own start does not reach it.",
            )  # fmt: skip


def _wide_cuts(record: StreamRecord) -> Iterator[Finding]:
    for call, reach in record.cuts:
        if reach > _WIDE:
            yield Finding(
                "cut", "info", record.name, f"{call}: the cut is at ±{reach:.3g} std, where nothing is cut",
                "torch's a and b are values, not multiples of std: give a=mean − 2·std, b=mean + 2·std.",
            )  # fmt: skip
