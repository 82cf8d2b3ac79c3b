"""What a batch says: how many samples it holds, and whether they differ."""

from __future__ import annotations

from typing import Any

import torch

from initlab.errors import whole_number
from initlab.guest.inputs import tensors_in

Tensor = torch.Tensor


def probe_steps(probe: Any) -> int:
    """The number of real steps, checked."""
    return whole_number("probe", probe, low=0)


def batch_size(args: tuple[Any, ...], kwargs: dict[str, Any], targets: Any) -> int | None:
    """Samples in the batch: the first size of the targets where an input has it too, else of the first input."""
    shapes = [tuple(t.shape) for t in tensors_in((args, kwargs)) if t.ndim]
    if not shapes:
        return None
    if isinstance(targets, Tensor) and targets.ndim and targets.shape[0] in shapes[0][:2]:
        return int(targets.shape[0])
    return shapes[0][0]


def samples_alike(args: tuple[Any, ...], kwargs: dict[str, Any], batch: int | None) -> bool:
    """Whether every sample of the batch is the same, so that nothing can tell them apart."""
    if batch is None or batch < 2:
        return False
    for tensor in tensors_in((args, kwargs)):
        axis = next((d for d, n in enumerate(tensor.shape[:2]) if n == batch), None)
        if axis is not None and tensor.layout != torch.strided:
            return False
        if axis is not None and not (_alike(tensor.narrow(axis, 0, 2), axis) and _alike(tensor, axis)):
            return False  # two that differ are enough
    return True


def _alike(tensor: Tensor, axis: int) -> bool:
    return bool((tensor == tensor.narrow(axis, 0, 1)).all())
