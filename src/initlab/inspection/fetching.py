"""Numbers that were computed on a device come back together: one transfer for each device and dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from initlab.guest.doubles import doubled

Tensor = torch.Tensor
HOST = frozenset({"cpu"})  # types of devices whose numbers the host reads without waiting
PLAIN = (torch.Tensor, torch.nn.Parameter)  # a subclass may stand for numbers that lie elsewhere


def at_hand(tensor: Tensor) -> bool:
    """Whether the host may look at its numbers at any time: another device would have to be waited for."""
    return tensor.device.type in HOST and type(tensor) in PLAIN


def fetched(groups: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Any]]:
    """The numbers that `groups` hold: a float for a tensor of no axis, else a float64 array of its elements.

    The host waits for a device once for each dtype there, however many tensors there are.

    >>> fetched([{"a": torch.tensor(2.0), "n": torch.tensor([1, 2])}, {"a": torch.tensor(3.0)}])
    [{'a': 2.0, 'n': array([1., 2.])}, {'a': 3.0}]
    """
    found: list[dict[str, Any]] = [{} for _ in groups]
    places: dict[tuple[torch.device, torch.dtype], list[tuple[int, str, Tensor]]] = {}
    for index, group in enumerate(groups):
        for name, tensor in group.items():
            places.setdefault((tensor.device, tensor.dtype), []).append((index, name, tensor.detach()))
    for held in places.values():
        numbers = doubled(torch.cat([tensor.reshape(-1) for _, _, tensor in held])).cpu().numpy()
        start = 0
        for index, name, tensor in held:
            part = numbers[start : start + tensor.numel()]
            found[index][name] = part if tensor.ndim else float(part[0])
            start += tensor.numel()
    return found
