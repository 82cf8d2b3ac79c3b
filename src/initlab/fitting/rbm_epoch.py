"""What one epoch of an RBM's training showed, and how such epochs are stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RbmEpoch:
    """What one epoch of training showed.

    Args:
        epoch: its number, from 1.
        reconstruction_error: mean squared difference between the data and its one-step reconstruction, per unit.
        free_energy_gap: mean free energy of held-out rows minus that of training rows; it grows when the machine
            begins to overfit. nan without held-out rows.
        weight_rms: root mean square of the weights.
    """

    epoch: int
    reconstruction_error: float
    free_energy_gap: float
    weight_rms: float


def as_rows(history: Iterable[RbmEpoch]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Epochs as an array of shape (epochs, 4)."""
    return np.array([astuple(epoch) for epoch in history], dtype=np.float64).reshape(-1, 4)


def from_rows(rows: np.ndarray[Any, Any]) -> list[RbmEpoch]:
    """Epochs as they were before `as_rows`."""
    return [RbmEpoch(int(epoch), float(error), float(gap), float(rms)) for epoch, error, gap, rms in rows]
