"""A Dataset or DataLoader that memory cannot hold, as samples that are fetched by index whenever they are asked for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from initlab.data.tensors import (
    TooLarge,
    as_features,
    as_targets,
    as_tensors,
    has_index,
    is_loader,
    sample_at,
)
from initlab.errors import InputError
from initlab.rng import random_states_kept


class Stream:
    """Samples (x, y) by index, each as `as_tensors` would hold it, read anew each time.

    Args:
        data: a map-style Dataset, or a DataLoader over one (its `collate_fn` is applied to single samples).
        name: what messages call it.
    """

    def __init__(self, data: Any, name: str = "data") -> None:
        self.name = name
        self.collate = data.collate_fn if is_loader(data) else None
        self.dataset = data.dataset if is_loader(data) else data

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        with random_states_kept(seed=0):
            sample = sample_at(self.dataset, index)
            pair = sample if self.collate is None else self.collate([sample])
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"{self.name}: item {index} must be (x, y); got {type(pair).__name__}")
        x, y = (self._one(part) for part in pair)
        where = f"{self.name} item {index}"
        return as_features(x, f"{where} X")[0], as_targets(y, f"{where} Y")[0]

    def _one(self, part: Any) -> Any:
        """The part with a first axis of one sample."""
        if self.collate is not None:
            return part
        return part[None] if hasattr(part, "shape") else [part]


def in_memory_or_streamed(
    data: Any, name: str = "data", *, most_bytes: int | None = None
) -> tuple[Tensor, Tensor] | Stream:
    """`as_tensors(data)`, or a `Stream` of what memory cannot hold.

    Raises:
        InputError: as `as_tensors`; more than fits of what has no index, such as an IterableDataset.
    """
    try:
        return as_tensors(data, name, most_bytes=most_bytes)
    except TooLarge:
        if has_index(data):
            return Stream(data, name)
        raise
