"""What the user should know of a plan before it is written: what is kept, unseen, loaded, trained, or equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from initlab.errors import listed
from initlab.planning.memory.shards import is_split, local_tensor
from initlab.planning.parameters.walk import Walk
from initlab.planning.plan import PlanEntry
from initlab.planning.reason import MADE
from initlab.planning.writing.ledger import Held, equal_sets, equal_warnings


def cautions(entries: Sequence[PlanEntry], found: Walk, *, recorded: bool) -> Iterator[str]:
    """The warnings of a plan, in words.

    Args:
        entries: the plan's.
        found: the model's parameters and layers.
        recorded: whether a pass was recorded, so that what is not known cannot be told from one.
    """
    frozen, loaded, unknown, unseen = (_names(entries, c) for c in ("frozen", "loaded", "unknown_role", "unused"))
    for names, kind in ((frozen, "frozen"), (loaded, "loaded")):
        if names:
            yield f"{len(names)} {kind} parameters are kept, {names[0]} first; name them in the policy to draw them"
    if copies := _copies_left(entries, found):
        copied, of = copies[0]
        yield (
            f"{len(copies)} frozen parameters or buffers are kept that hold what others hold which are drawn anew, as "
            f"{copied} does of {of}: a copy that is to be one still must be made again after init_"
        )
    if empty := _kept_without_values(entries, found):
        yield (
            f"{len(empty)} parameters and buffers are kept that have no values on the meta device, {empty[0]} first: "
            "once they have memory, let the model make them, by its own start, before init_"
        )
    if recorded and (parts := [slot.name for slot in found.parameters if is_split(slot.tensor)]):
        yield (
            f"{len(parts)} parameters are in shards, {parts[0]} first: what their author set by hand cannot be seen in "
            "a part; plan the model before it is sharded, and give init_ that plan, where that matters"
        )
    if unknown:
        more = "" if recorded else ", or pass example_inputs so that their use can be seen"
        yield (
            f"{len(unknown)} parameters are kept since their role is not known: {listed(unknown)}; "
            f"name them in the policy{more}"
        )
    if unseen:
        yield (
            f"{len(unseen)} weights get gain 1 since the recorded pass does not use them, or runs them where it cannot "
            f"be followed (scripted code): {listed(unseen)}"
        )
    if seen := [name for name, module in found.modules.items() if _has_seen_data(module)]:
        which = f"{len(seen)} layers ({seen[0]} first) hold running statistics"
        yield f"{which} of earlier data, which are kept: call reset_running_stats() on each for a fresh start"
    drawn = {entry.name for entry in entries if entry.action == "keep" and entry.code not in MADE}
    yield from equal_warnings(
        [Held(slot.name, local_tensor(slot.tensor), None) for slot in found.parameters if slot.name in drawn]
    )


def _kept_without_values(entries: Sequence[PlanEntry], found: Walk) -> list[str]:
    kept = {entry.name for entry in entries if entry.action == "keep"}
    slots = [*(slot for slot in found.parameters if slot.name in kept), *found.buffers]
    return [slot.name for slot in slots if local_tensor(slot.tensor).is_meta]


def _copies_left(entries: Sequence[PlanEntry], found: Walk) -> list[tuple[str, str]]:
    """(what is kept, what is written) of frozen parameters and buffers that hold the same, as a target's do."""
    actions = {entry.name: entry.action for entry in entries}
    kept = {s.name for s in found.parameters if not s.tensor.requires_grad and actions.get(s.name) == "keep"}
    kept |= {slot.name for slot in found.buffers}
    written = {name for name, action in actions.items() if action == "write" and name not in kept}
    slots = [slot for slot in (*found.parameters, *found.buffers) if slot.name in kept | written]
    if not kept or not written:
        return []
    sets = equal_sets([Held(slot.name, local_tensor(slot.tensor), None) for slot in slots])
    pairs = ((written & set(names), [name for name in names if name in kept]) for names in sets)
    return [(copy, min(of)) for of, copies in pairs for copy in copies if of]


def _names(entries: Sequence[PlanEntry], code: str) -> list[str]:
    return [entry.name for entry in entries if entry.code == code]


def _has_seen_data(module: nn.Module) -> bool:
    count = getattr(module, "num_batches_tracked", None)
    return isinstance(count, torch.Tensor) and count.device.type == "cpu" and bool(count != 0)
