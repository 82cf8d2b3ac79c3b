"""Rows of data as the fitting room takes them: checked, or refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from initlab.data.frames import array_of, has_columns, holds_arrays, without_column
from initlab.data.reading import is_dataset, is_loader
from initlab.data.tensors import as_tensors
from initlab.errors import InputError


def inputs_of(data: Any, argument: str = "data") -> Any:
    """The inputs among what a user has, for what learns without labels.

    Args:
        data: a tensor, array or data frame of inputs; (X, Y), or (a data frame, the name of its target column); a
            Dataset of (x, y), or a DataLoader of these.
        argument: what the user calls it.

    Raises:
        InputError: data that cannot be read.

    >>> inputs_of((torch.zeros(3, 2), [0, 1, 0])).shape
    torch.Size([3, 2])
    """
    if isinstance(data, tuple | list) and len(data) == 2:
        named = isinstance(data[1], str) and has_columns(data[0])
        data = without_column(data[0], data[1], argument)[0] if named else data[0]
    if is_loader(data) or is_dataset(data):
        return as_tensors(data, argument)[0]
    return as_tensor(array_of(data, argument), argument) if holds_arrays(data) else data


def check_rows(data: Any, visible: str = "bernoulli", argument: str = "data") -> Tensor:
    """Rows of floats of shape (n, features), fit for these visible units.

    Raises:
        InputError: no numbers, no rows, NaN or infinite values, rows that are all equal, or values outside [0, 1] for
            bernoulli units.
    """
    rows = data if isinstance(data, Tensor) else as_tensor(data, argument)
    if rows.ndim < 2 or rows.shape[0] == 0 or rows.numel() == 0:
        raise InputError(
            f"{argument} must be rows of features, of shape (n, ...) with n at least 1; got {tuple(rows.shape)}"
        )
    if rows.is_complex():
        raise InputError(f"{argument} must be real numbers; got {rows.dtype}")
    rows = rows.detach().reshape(len(rows), -1).to("cpu", torch.float32)
    if not bool(rows.isfinite().all()):
        raise InputError(f"{argument} must be finite; it has {int((~rows.isfinite()).sum()):,} NaN or infinite values")
    low, high = float(rows.min()), float(rows.max())
    if visible == "bernoulli" and (low < 0 or high > 1):
        raise InputError(
            f"{argument} must lie in [0, 1] for bernoulli units; got {low:.4g} to {high:.4g} "
            "(rescale it, or use visible='gaussian' on standardised data)"
        )
    if bool((rows == rows[:1]).all()):
        raise InputError(f"{argument} must vary: its {len(rows)} rows are all equal, so there is nothing to learn")
    return rows.contiguous()


def as_tensor(data: Any, argument: str) -> Tensor:
    """`data` as a tensor of float32, or an `InputError`."""
    try:
        return torch.as_tensor(data, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"{argument} must be a tensor or an array of numbers; got {type(data).__name__}") from None
