"""The ledger: every parameter accounted for, kept values finite, and no two tensors that start out equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from initlab.errors import InputError, listed
from initlab.planning.memory.tensors import DTYPES, host_array
from initlab.planning.memory.values import is_finite
from initlab.planning.parameters.walk import Slot, Walk
from initlab.planning.plan import Plan
from initlab.sampling.laws import Law

# Laws that give one value, or one fixed pattern, whatever the stream: equal tensors are what they are for.
_FIXED_FAMILIES = frozenset({"constant", "identity"})
_SAMPLES = 16
_FEWEST = 8


@dataclass(frozen=True)
class Held:
    """A parameter's local tensor with how it came by its values: the law that drew it, or None when it was kept."""

    name: str
    tensor: torch.Tensor
    law: Law | None


def check_account(plan: Plan, found: Walk) -> None:
    """The plan and the model must speak of the same parameters with the same shapes.

    Raises:
        InputError: listing what is in the one and not in the other.
    """
    planned = {entry.name: entry.shape for entry in plan.entries}
    present = {slot.name: tuple(slot.tensor.shape) for slot in found.parameters}
    if planned == present:
        return
    parts = []
    if missing := [name for name in planned if name not in present]:
        parts.append(f"planned but not in the model: {listed(missing)}")
    if extra := [name for name in present if name not in planned]:
        parts.append(f"in the model but not planned: {listed(extra)}")
    changed = [n for n in planned if n in present and planned[n] != present[n]]
    if changed:
        parts.append(f"other shapes: {listed([f'{n} {present[n]} where the plan has {planned[n]}' for n in changed])}")
    raise InputError(f"this plan is for another model ({'; '.join(parts)}); call initlab.plan on this one")


def check_kept(kept: Iterable[Slot]) -> None:
    """Refuse to leave a non-finite value where nobody asked for the parameter to be kept.

    Raises:
        InputError: naming the parameters.
    """
    bad = [slot.name for slot in kept if not is_finite(slot.tensor)]
    if bad:
        raise InputError(
            f"kept parameters hold nan or inf: {listed(bad)}; name each in the policy with the scheme it should get, "
            "or in keep= to leave it so"
        )


def non_finite(slots: Iterable[Slot]) -> list[str]:
    """The names of the parameters that hold nan or inf."""
    return [slot.name for slot in slots if not is_finite(slot.tensor)]


def equal_sets(held: Sequence[Held]) -> list[tuple[str, ...]]:
    """Sets of parameters that hold the same bytes though no law asks for it, such as the layers of a cloned encoder.

    Only tensors of one shape and dtype are compared, by 16 sampled elements first and in full where those agree.
    """
    groups: dict[tuple[Any, ...], list[Held]] = {}
    for item in held:
        tensor = item.tensor
        if tensor.numel() >= _FEWEST and not tensor.is_meta and not (item.law is not None and is_fixed(item.law)):
            groups.setdefault((tuple(tensor.shape), tensor.dtype, tensor.device), []).append(item)
    found: list[tuple[str, ...]] = []
    for group in groups.values():
        if len(group) > 1:
            found.extend(_equal_in(group))
    return found


def equal_warnings(held: Sequence[Held]) -> tuple[str, ...]:
    return tuple(
        f"{len(names)} parameters start out equal: {listed(names)}; layers whose weights are equal stay one layer "
        "(nn.TransformerEncoder copies one): if they should differ, name them in the policy to draw each"
        for names in equal_sets(held)
    )


def is_fixed(law: Law) -> bool:
    """Whether a law's values are the same for every stream."""
    parts = getattr(law, "laws", None)
    if parts is not None:
        return all(is_fixed(part) for part in parts)
    return law.family in _FIXED_FAMILIES or getattr(law, "std", None) == 0


def _equal_in(group: list[Held]) -> list[tuple[str, ...]]:
    shape = tuple(group[0].tensor.shape)
    spots = np.unique(np.linspace(0, group[0].tensor.numel() - 1, _SAMPLES).astype(np.int64))
    index = np.unravel_index(spots, shape)
    by_print: dict[bytes, list[list[Held]]] = {}
    for item in group:
        classes = by_print.setdefault(_fingerprint(item.tensor, index), [])
        for members in classes:
            if torch.equal(members[0].tensor, item.tensor):
                members.append(item)
                break
        else:
            classes.append([item])
    sets = [members for classes in by_print.values() for members in classes if len(members) > 1]
    return [tuple(item.name for item in members) for members in sets if not _one_value(members[0].tensor)]


def _fingerprint(tensor: torch.Tensor, index: tuple[Any, ...]) -> bytes:
    if tensor.device.type == "cpu" and tensor.dtype in DTYPES:
        return bytes(host_array(tensor)[index].tobytes())
    picked = tensor.detach()[tuple(torch.from_numpy(i).to(tensor.device) for i in index)]
    return bytes(picked.cpu().contiguous().view(torch.uint8).numpy().tobytes())


def _one_value(tensor: torch.Tensor) -> bool:
    first = tensor.detach()[(0,) * tensor.ndim]
    return bool((tensor.detach() == first).all())
