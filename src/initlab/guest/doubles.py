"""Double precision where a device has it: Apple's have none, nor have some of Intel's."""

from __future__ import annotations

from functools import cache

import torch


def doubled(tensor: torch.Tensor) -> torch.Tensor:
    """The numbers in double precision: where they are, or on the host where their device has no doubles.

    >>> doubled(torch.tensor([1, 2]))
    tensor([1., 2.], dtype=torch.float64)
    """
    return tensor.to(doubles_at(tensor.device)).double()


def doubles_at(device: torch.device) -> torch.device:
    """Where numbers of a device are held in double precision: there, or on the host."""
    return device if has_doubles(device) else torch.device("cpu")


def has_doubles(device: torch.device) -> bool:
    """Whether a device computes in double precision."""
    return device.type in ("cpu", "cuda", "meta") or _tried(device)


@cache
def _tried(device: torch.device) -> bool:
    try:
        torch.ones(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):  # Apple's refuse the type, others its kernels
        return False
    return True
