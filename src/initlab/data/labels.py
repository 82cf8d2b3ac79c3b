"""Targets that are text: class numbers in their place, the same for every part of the data, and said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from initlab.errors import InputError, shortened, unknown

_SHOWN = 8


def coding_words(labels: Sequence[str]) -> str:
    """Which label got which number.

    >>> coding_words(("cat", "owl"))
    "2 labels are coded in sorted order: 'cat' = 0, 'owl' = 1"
    """
    shown = ", ".join(f"{shortened(label)!r} = {number}" for number, label in enumerate(labels[:_SHOWN]))
    more = ", …" if len(labels) > _SHOWN else ""
    return f"{len(labels)} labels are coded in sorted order: {shown}{more}"


class Coding:
    """Labels and their class numbers: sorted when the first targets are met, and kept for all that come later.

    Attributes:
        labels: the labels in the order of their numbers; None until targets with labels were met.

    >>> coding = Coding()
    >>> coding.coded(np.array(["owl", "cat", "owl"]), "train Y")
    tensor([1, 0, 1])
    >>> coding.words
    "2 labels are coded in sorted order: 'cat' = 0, 'owl' = 1"
    """

    def __init__(self) -> None:
        self.labels: tuple[str, ...] | None = None

    @property
    def words(self) -> str:
        """What was coded; "" where nothing was."""
        return "" if self.labels is None else coding_words(self.labels)

    def coded(self, values: Any, name: str) -> Tensor:
        """int64 class numbers of labels, shape (n,).

        Args:
            values: an array of text of shape (n,) or (n, 1).
            name: what messages call it.

        Raises:
            InputError: a missing label, one that the first targets did not have, or more than one column.
        """
        flat = np.asarray(values)
        flat = flat[:, 0] if flat.ndim == 2 and flat.shape[1] == 1 else flat
        if flat.ndim != 1:
            raise InputError(f"{name} must be one column of labels; got text of shape {flat.shape}")
        missing = next((row for row, value in enumerate(flat) if not isinstance(value, str)), None)
        if missing is not None:
            raise InputError(f"{name} has {flat[missing]!r} among its labels, in row {missing}; each must be text")
        if self.labels is None:
            self.labels = tuple(sorted({str(value) for value in flat}))
        numbers = {label: number for number, label in enumerate(self.labels)}
        strange = next((str(value) for value in flat if str(value) not in numbers), None)
        if strange is not None:
            raise unknown(f"label in {name}", strange, self.labels)
        return torch.tensor([numbers[str(value)] for value in flat], dtype=torch.int64)


def is_text(values: Any) -> bool:
    """Whether it is an array of text, or of objects of which the first is."""
    return values.dtype.kind in "UST" or (values.dtype.kind == "O" and values.size > 0 and _text(values.flat[0]))


def _text(value: Any) -> bool:
    return isinstance(value, str)
