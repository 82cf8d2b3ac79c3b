"""Writes a plan into a model: everything that can fail first, then each parameter in place, in its own memory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from initlab.errors import InitlabError, InputError, InterruptedInitError, argued, check_flags, seed_number, shown
from initlab.planning.memory.drawing import Job, batches, job_for, write_one, write_together
from initlab.planning.memory.partitions import seen_whole
from initlab.planning.memory.shards import local_tensor, parts_of, refuse_gathered
from initlab.planning.memory.tensors import DTYPES, PARTS, check_apart, check_writable
from initlab.planning.parameters.walk import Slot, Walk, walk
from initlab.planning.plan import Plan, PlanEntry
from initlab.planning.planner import make_plan
from initlab.planning.reason import MADE, Reason
from initlab.planning.selection.loaded import Loaded, loaded_words, read_loaded
from initlab.planning.selection.selectors import matched, texts_of
from initlab.planning.writing.applying import applied_to, left_to, part_of
from initlab.planning.writing.interrupts import HeldInterrupts
from initlab.planning.writing.ledger import Held, check_account, check_kept, equal_warnings, non_finite
from initlab.planning.writing.one_by_one import warn_of_equals
from initlab.planning.writing.prefixes import check_prefix, prefixed
from initlab.planning.writing.spectral import refresh
from initlab.sampling.laws import Law
from initlab.sampling.whole_laws import Given


@argued
def init_(
    model: nn.Module,
    policy_or_plan: Any = "auto",
    *,
    example_inputs: Any = None,
    seed: int = 0,
    rollback: bool = False,
    keep: str | Sequence[str] = (),
    loaded: Any = None,
    rows: slice | None = None,
    prefix: str = "",
) -> Plan:
    """Write a start into `model`, in place, and return the plan that was written.

    A parameter's values depend on (stream version, seed, canonical name, global shape, law) alone: not on the other
    layers, the device, the number of threads or of processes. No global random state is read or moved. Everything that
    can fail happens before the first write, so a refused call leaves the model as it was.

    `model.apply(initlab.init_)` does what `initlab.init_(model)` does. A function that `apply` calls and that calls
    `init_` on some layers (`if isinstance(layer, nn.Linear): initlab.init_(layer, "he_normal")`) gives them what the
    whole model would, under their names in it. A layer by itself has the names `weight` and `bias`: two of one shape
    get the same values unless each has its `prefix`, which a warning says where the caller holds both in one model.

    Args:
        model: any module with materialised parameters; DTensor parameters (FSDP2, tensor parallel) are filled shard by
            shard, without communication, and so are the partitions of DeepSpeed's ZeRO-3.
        policy_or_plan: a `Plan`, or what `initlab.plan` takes as policy: a name, a Scheme, or {selector: scheme}.
        example_inputs: as for `initlab.plan`: inputs for one forward pass, from which `auto` reads what feeds each
            layer. Not used with a `Plan`.
        seed: an integer in [0, 2^64).
        rollback: hold one copy of what is overwritten, and put it back if the writing is interrupted.
        keep: selectors of parameters to leave as they are.
        loaded: what was loaded into the model, which is kept whatever the policy: a state dict, the path of a weight
            file or of a safetensors index, or parameter names.
        rows: write only these rows (along axis 0) of each parameter, as of a vocabulary that was grown:
            `slice(old, None)`. They get what the whole tensor would have there.
        prefix: what stands before every name when its stream is found, where the model is a stage of a larger one:
            "layers.4".

    Returns:
        The `Plan` that was written, with warnings about parameters that start out equal.

    Raises:
        InputError: a bad argument, or a parameter that cannot be written; nothing has been written.
        InterruptedInitError: interrupted between two writes; it lists what was written and what was not.

    >>> import torch, initlab
    >>> net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> plan = initlab.init_(net, "he_normal", seed=1)
    >>> plan.counts
    {'write': 4, 'keep': 0, 'refuse': 0}
    """
    check_prefix(prefix)
    applied = None if prefix else applied_to(model)
    if applied is not None and applied.direct:
        return left_to(applied, model)
    if applied is not None:
        prefix = applied.path
        if example_inputs is None and not isinstance(policy_or_plan, Plan | Mapping):
            policy, root = policy_or_plan, applied.root
            whole = applied.plan(policy, lambda: make_plan(root, walk(root), None, policy))
            policy_or_plan = part_of(whole, make_plan(model, walk(model), None, policy), prefix)
    with seen_whole(model):
        return _init(model, policy_or_plan, example_inputs, seed, rollback, keep, loaded, rows, prefix)


def _init(
    model: nn.Module,
    policy_or_plan: Any,
    example_inputs: Any,
    seed: int,
    rollback: bool,
    keep: str | Sequence[str],
    loaded: Any,
    rows: slice | None,
    prefix: str,
) -> Plan:
    number = seed_number(seed)
    check_flags(rollback=rollback)
    found = walk(model)
    plan = (
        policy_or_plan if isinstance(policy_or_plan, Plan) else make_plan(model, found, example_inputs, policy_or_plan)
    )
    plan, named = keep_also(plan, found, keep)
    if loaded is not None:
        plan = keep_loaded(plan, read_loaded(loaded, found), found)
    check_account(plan, found)
    laws = {entry.name: entry.law for entry in plan.entries if entry.action == "write" and entry.law is not None}
    jobs = [_placed(job, rows, prefix) for job in prepare(plan, found, named)]
    plan = plan.with_warnings(_kept_warnings(found, named))
    write(jobs, number, rollback)
    if not prefix and rows is None:
        warn_of_equals(model, jobs, number)
    plan = plan.with_warnings(refresh(found, laws))
    made = {entry.name for entry in plan.entries if entry.code in MADE}
    warnings = equal_warnings([held for held in _held(found, laws) if held.name not in made])
    return plan.with_warnings(tuple(warning for warning in warnings if warning not in plan.warnings))


def _placed(job: Job, rows: slice | None, prefix: str) -> Job:
    """A job for some rows alone, under the name that the whole model has for its parameter.

    Raises:
        InputError: rows that the parameter has not.
    """
    name = prefixed(prefix, job.name)
    if rows is None:
        return replace(job, name=name)
    if not isinstance(rows, slice) or rows.step not in (None, 1):
        raise InputError(f"rows must be a slice with step 1, such as slice(32000, None); got {shown(rows)}")
    size = job.part.shape[0] if job.part.shape else 0
    try:
        first, last, _ = rows.indices(size)
    except TypeError:
        raise InputError(f"rows must be a slice of whole numbers; got {shown(rows)}") from None
    if first >= last:
        raise InputError(f"{job.name!r} has {size} rows, none of which is in {rows!r}: name what has them in a mapping")
    return replace(job, name=name, part=job.part.rows(first, last))


def keep_also(plan: Plan, found: Walk, keep: str | Sequence[str]) -> tuple[Plan, frozenset[str]]:
    """The plan with what `keep` selects kept, and the names that it selects."""
    chosen: dict[str, str] = {}
    for text in texts_of(keep, "keep"):
        chosen.update({slot.name: text for slot in matched(text, found, "keep")})
    if not chosen:
        return plan, frozenset()
    entries = tuple(
        _kept(e, f"kept as asked: keep={chosen[e.name]!r}") if e.name in chosen else e for e in plan.entries
    )
    return replace(plan, entries=entries), frozenset(chosen)


def keep_loaded(plan: Plan, loaded: Loaded, found: Walk) -> Plan:
    """The plan with what was loaded kept, but for what it makes of loaded values, and a note of how much that is."""
    reason = Reason("loaded", "kept: loaded")
    entries = tuple(
        _kept(entry, reason) if entry.name in loaded.names and not isinstance(entry.law, Given) else entry
        for entry in plan.entries
    )
    return replace(plan, entries=entries).with_warnings(loaded_words(loaded, found.parameters))


def _kept(entry: PlanEntry, reason: str) -> PlanEntry:
    return replace(entry, law=None, std=None, scheme="keep", reason=reason, action="keep", recipe=None, gain=None)


def prepare(plan: Plan, found: Walk, named: frozenset[str] = frozenset()) -> list[Job]:
    """Every check there is, in order, and the jobs that passed them.

    Raises:
        InputError: what cannot be written, by name.
    """
    refuse_gathered(found.modules.items())
    refused = [entry for entry in plan.entries if entry.action == "refuse"]
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise InputError(f"{refused[0].name!r}{more}: {refused[0].reason}")
    slots = {slot.name: slot for slot in found.parameters}
    jobs = [job for entry in plan.entries if entry.action == "write" for job in _jobs(entry, slots[entry.name])]
    check_apart([(s.name, local_tensor(s.tensor)) for s in found.parameters if not s.tensor.is_meta])
    asked = named | {entry.name for entry in plan.entries if entry.asked}
    check_kept(slots[e.name] for e in plan.entries if e.action == "keep" and e.name not in asked)
    return jobs


def _jobs(entry: PlanEntry, slot: Slot) -> list[Job]:
    name, tensor = slot.name, slot.tensor
    law = entry.law
    if law is None:
        raise InputError(f"{name!r} is to be written, but its plan entry has no law")
    if tensor.dtype not in DTYPES and tensor.dtype not in PARTS:
        raise InputError(f"{name!r} is {tensor.dtype}: only {', '.join(DTYPES.values())} can be drawn; keep it")
    check_writable(name, local_tensor(tensor))
    return [job_for(name, tensor, part, law) for part in parts_of(name, tensor)]


def write(jobs: Sequence[Job], seed: int, rollback: bool = False) -> None:
    """Write every job in order.

    A parameter is either wholly new or wholly old afterwards: values are a function of the name alone, so those that an
    error broke off are simply written again before the error is raised.

    Raises:
        InterruptedInitError: with the names that were written and those that were not.
    """
    saved = [job.part.tensor.detach().clone() for job in jobs] if rollback else None
    done, busy = 0, list[Job]()
    with HeldInterrupts() as interrupts:
        try:
            for some in batches(jobs):
                interrupts.check()
                busy = some
                if len(some) > 1:
                    write_together(some, seed)
                else:
                    write_one(some[0], seed)
                done, busy = done + len(some), []
        except BaseException as error:
            if saved is not None:
                _restore(jobs[: done + len(busy)], saved)
                raise _rolled_back(jobs, error) from error
            whole = len(list(itertools.takewhile(lambda job: _finished(job, seed), busy)))
            raise _interrupted(jobs, done + whole, whole < len(busy), error) from error


def _finished(job: Job, seed: int) -> bool:
    try:
        write_one(job, seed)
    except BaseException:  # whatever broke the first write off, again
        return False
    return True


def _names(jobs: Sequence[Job]) -> list[str]:
    """The parameters of some jobs; one that lies in several pieces has a job for each."""
    return list(dict.fromkeys(job.name for job in jobs))


def _rolled_back(jobs: Sequence[Job], error: BaseException) -> InterruptedInitError:
    names = _names(jobs)
    said = f"init_ was interrupted by {_why(error)} and rolled back: all {len(names)} parameters are as they were"
    return InterruptedInitError(said, (), names)


def _interrupted(jobs: Sequence[Job], done: int, torn: bool, error: BaseException) -> InterruptedInitError:
    names = _names(jobs)
    done = len(names) - len(_names(jobs[done:]))
    broken = f"; {names[done]!r} may be partly written" if torn else ""
    return InterruptedInitError(
        f"init_ was interrupted by {_why(error)}: {done} of {len(names)} parameters were written{broken}; "
        "calling it again with the same seed gives what an uninterrupted call gives",
        names[:done],
        names[done:],
    )


def _restore(jobs: Sequence[Job], saved: Sequence[torch.Tensor]) -> None:
    for job, old in zip(jobs, saved, strict=False):
        with torch.no_grad():
            job.part.tensor.detach().copy_(old)


def _why(error: BaseException) -> str:
    if isinstance(error, InitlabError):
        return f"an error ({error})"
    return type(error).__name__ + (f" ({error})" if str(error) else "")


def _held(found: Walk, written: dict[str, Law]) -> list[Held]:
    return [Held(slot.name, local_tensor(slot.tensor), written.get(slot.name)) for slot in found.parameters]


def _kept_warnings(found: Walk, named: frozenset[str]) -> tuple[str, ...]:
    bad = non_finite(slot for slot in found.parameters if slot.name in named)
    return (f"kept as asked, though they hold nan or inf: {', '.join(bad)}",) if bad else ()
