"""Sums of squares: in single precision where that bears them, which the host tells at once, else in double."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from initlab.guest.doubles import doubled, doubles_at
from initlab.inspection.fetching import at_hand

Tensor = torch.Tensor
# Elements that are worked on at a time: what stays in a CPU's cache; a GPU is given few calls.
CPU_PIECE, GPU_PIECE = 1 << 16, 1 << 24
RUN = 1 << 16  # elements that a CPU adds up in single precision, to 1e-7; what these give is added in double
# Share of a sum from which a difference of two such sums tells what is left of it to five digits.
TOLD = 0.02


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
    return on_host(host_square(flat)) if at_hand(flat) else torch.dot(flat, flat)


def on_host(number: float) -> Tensor:
    """A number of the host's beside those that devices hold."""
    return torch.tensor(number, dtype=torch.float64, device="cpu")


def left(whole: float, part: float) -> float | None:
    """`whole` less `part`, sums of squares of which one holds the other; None where rounding would tell."""
    difference = whole - part
    return difference if TOLD * whole < difference < math.inf else None


def square_about(rows: Tensor, middle: Tensor, square: Tensor) -> Tensor:
    """Σ (x - m)² over all numbers of a matrix, m the mean of each of its columns.

    As a difference of sums where the host tells at once that this is no noise; else number by number.

    Args:
        rows: the matrix.
        middle: mean of each column.
        square: the sum of squares of all its numbers.

    >>> rows = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    >>> float(square_about(rows, rows.mean(0), torch.tensor(18.0)))
    2.0
    """
    if at_hand(rows):
        known = left(float(square), len(rows) * host_square(middle))
        return on_host(_host_about(rows, middle) if known is None else known)
    return plain_square((rows - middle).reshape(-1))


def _host_about(rows: Tensor, middle: Tensor) -> float:
    return sum(host_square(torch.sub(piece, middle, out=made).view(-1)) for piece, made in _row_pieces(rows))


def square_without(rows: Tensor, left_factor: Tensor, right_factor: Tensor, square: float) -> float:
    """Σ (g - δ mᵀ)² of a matrix g that is at hand, in one pass over it where a difference of sums tells.

    Args:
        rows: g, of shape (units, inputs).
        left_factor: δ, one number a unit.
        right_factor: m, one number an input.
        square: Σ g².

    >>> square_without(torch.tensor([[3.0, 2.0], [1.0, 1.0]]), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0]), 15.0)
    6.0
    """
    along = torch.dot((left_factor @ rows).double(), right_factor.double())
    both = host_square(left_factor) * host_square(right_factor)
    known = left(square, 2 * float(along) - both)
    if known is not None:
        return known
    every = zip(_row_pieces(rows), torch.split(left_factor, _height(rows)), strict=True)
    return sum(
        host_square(torch.addr(piece, part, right_factor, alpha=-1, out=made).view(-1)) for (piece, made), part in every
    )


def _height(rows: Tensor) -> int:
    return max(1, CPU_PIECE // max(1, rows.shape[1]))


def _row_pieces(rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Some rows at a time, and room for what is made of them, the same each time: new memory costs more than sums."""
    room = rows.new_empty((min(len(rows), _height(rows)), rows.shape[1]))
    return ((piece, room[: len(piece)]) for piece in torch.split(rows, _height(rows)))


def square_of(tensor: Tensor, of: Callable[[Tensor, Tensor], Tensor] | None = None) -> Tensor:
    """The sum of squares, or of those of what `of` makes of each number; nothing waits for a device.

    Args:
        tensor: of any shape.
        of: called with some of the numbers and with room for as many, which it may fill and give back.

    >>> float(square_of(torch.tensor([3.0, 4.0]))), float(square_of(torch.full((2,), 2.0**80)))
    (25.0, 2.923003274661806e+48)
    """
    flat = tensor.reshape(-1)
    if at_hand(flat):
        square = plain_square(flat) if of is None else _summed(flat, of)
        if borne(float(square), len(flat)):
            return square
    return _summed(flat, of, wide=True)


def _summed(flat: Tensor, of: Callable[[Tensor, Tensor], Tensor] | None, *, wide: bool = False) -> Tensor:
    """Over pieces, each dotted in the precision of what `of` makes of it, or in double."""
    total = torch.zeros((), dtype=torch.float64, device=doubles_at(flat.device))
    size = CPU_PIECE if at_hand(flat) else GPU_PIECE
    room = flat.new_empty(0 if of is None else min(size, len(flat)))
    for piece in torch.split(flat, size):
        made = piece if of is None else of(piece, room[: len(piece)])
        made = doubled(made) if wide else made
        total = total + torch.dot(made, made)
    return total
