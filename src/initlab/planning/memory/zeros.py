"""Whether a tensor is all zeros, which of a large one its first numbers mostly tell."""

from __future__ import annotations

import torch

from initlab.guest.transformed import of_whole

_FIRST = 4096


@of_whole
def all_zero(tensor: torch.Tensor) -> bool:
    """Whether no number of a tensor is anything but zero.

    >>> all_zero(torch.zeros(3, 4)), all_zero(torch.eye(3))
    (True, False)
    """
    if tensor.numel() > _FIRST and tensor.is_contiguous() and bool(tensor.detach().view(-1)[:_FIRST].any()):
        return False
    return not bool(tensor.any())
