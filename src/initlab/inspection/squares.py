"""Sums of squares: in single precision where that bears them, which the host tells at once, else in double."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from initlab.guest.doubles import doubled, doubles_at
from initlab.inspection.fetching import at_hand

Tensor = torch.Tensor
# Elements that are worked on at a time: what stays in a CPU's cache; a GPU is given few calls.
CPU_PIECE, GPU_PIECE = 1 << 16, 1 << 24
RUN = 1 << 18  # elements that a CPU adds up in single precision; what these give is added in double


def borne(square: float, count: int) -> bool:
    """Whether single precision bears that sum over `count` numbers: the squares of those under 1e-14 may underflow."""
    return 1e-28 * count < square < math.inf


def host_square(flat: Tensor) -> float:
    """The sum of squares of a vector that is at hand, in its own precision: by NumPy, as fast as torch and closer.

    >>> host_square(torch.tensor([3.0, 4.0]))
    25.0
    """
    numbers = flat.numpy()
    with np.errstate(all="ignore"):
        runs = (numbers[start : start + RUN] for start in range(0, len(numbers), RUN))
        return float(sum(float(np.dot(run, run)) for run in runs))


def plain_square(flat: Tensor) -> Tensor:
    """The sum of squares of a vector in its own precision."""
    return (
        torch.tensor(host_square(flat), dtype=torch.float64, device="cpu") if at_hand(flat) else torch.dot(flat, flat)
    )


def square_of(tensor: Tensor, of: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """The sum of squares, or of those of what `of` makes of each number; nothing waits for a device.

    >>> float(square_of(torch.tensor([3.0, 4.0]))), float(square_of(torch.full((2,), 2.0**80)))
    (25.0, 2.923003274661806e+48)
    """
    flat = tensor.reshape(-1)
    if at_hand(flat):
        square = plain_square(flat) if of is None else _summed(flat, of)
        if borne(float(square), len(flat)):
            return square
    return _summed(flat, lambda piece: doubled(piece if of is None else of(piece)))


def _summed(flat: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
    """Over pieces, each dotted in the precision of what `of` makes of it."""
    total = torch.zeros((), dtype=torch.float64, device=doubles_at(flat.device))
    for piece in torch.split(flat, CPU_PIECE if at_hand(flat) else GPU_PIECE):
        made = of(piece)
        total = total + torch.dot(made, made)
    return total
