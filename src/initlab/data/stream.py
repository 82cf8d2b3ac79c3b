"""A Dataset or DataLoader that memory cannot hold, as samples that are fetched by index whenever they are asked for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from initlab.data.labels import Coding
from initlab.data.pairs import pair_of
from initlab.data.reading import has_index, is_loader, sample_at
from initlab.data.tensors import TooLarge, as_features, as_targets, as_tensors
from initlab.errors import told
from initlab.rng import random_states_kept


class Stream:
    """Samples (x, y) by index, each as `as_tensors` would hold it, read anew each time.

    Args:
        data: a map-style Dataset, or a DataLoader over one (its `collate_fn` is applied to single samples).
        name: what messages call it.
        coding: which label is which class; where it knows none, targets must be numbers.
    """

    def __init__(self, data: Any, name: str = "data", coding: Coding | None = None) -> None:
        self.name = name
        self.coding = coding if coding is not None and coding.labels is not None else None
        self.collate = data.collate_fn if is_loader(data) else None
        self.dataset = data.dataset if is_loader(data) else data

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        with (
            random_states_kept(seed=0),
            told(f"{self.name}: reading item {index} of the {type(self.dataset).__name__}"),
        ):
            sample = sample_at(self.dataset, index)
            pair = sample if self.collate is None else self.collate([sample])
        x, y = (self._one(part) for part in pair_of(pair, f"{self.name}: item {index}"))
        where = f"{self.name} item {index}"
        return as_features(x, f"{where} X")[0], as_targets(y, f"{where} Y", self.coding)[0]

    def _one(self, part: Any) -> Any:
        """The part with a first axis of one sample."""
        if self.collate is not None:
            return part
        return part[None] if hasattr(part, "shape") else [part]


def in_memory_or_streamed(
    data: Any, name: str = "data", *, most_bytes: int | None = None, coding: Coding | None = None
) -> tuple[Tensor, Tensor] | Stream:
    """`as_tensors(data)`, or a `Stream` of what memory cannot hold.

    Raises:
        InputError: as `as_tensors`; more than fits of what has no index, such as an IterableDataset.
    """
    try:
        return as_tensors(data, name, most_bytes=most_bytes, coding=coding)
    except TooLarge:
        if has_index(data):
            return Stream(data, name, coding)
        raise
