"""Where samples are fetched from: memory, or a Dataset read by index."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from initlab.errors import InputError

Pair = tuple[torch.Tensor, torch.Tensor]


@runtime_checkable
class Source(Protocol):
    """Samples that can be fetched by index."""

    def __len__(self) -> int: ...

    def gather(self, index: torch.Tensor) -> Pair:
        """(X, Y) of the samples at `index` (int64, any order, on any device), along the first axis."""


class InMemory:
    """Samples held as two tensors."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x = x
        self.y = y

    def __len__(self) -> int:
        return len(self.x)

    def gather(self, index: torch.Tensor) -> Pair:
        return self.x.index_select(0, index.to(self.x.device)), self.y.index_select(0, index.to(self.y.device))


class Streamed:
    """Samples of a map-style Dataset that is larger than memory: fetched one by one, in the order of the index.

    Args:
        dataset: has `__len__` and `__getitem__(i) -> (x, y)`; x and y are tensors, arrays or numbers.
        dtype: floating-point values are cast to it.
        device: where batches are put.
    """

    def __init__(self, dataset: Any, dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise InputError(f"a streamed dataset needs __len__ and __getitem__; got {type(dataset).__name__}")
        if len(dataset) == 0:
            raise InputError(f"a streamed dataset must hold at least one sample; got an empty {type(dataset).__name__}")
        self.dataset = dataset
        self.dtype = dtype
        self.device = device

    def __len__(self) -> int:
        return len(self.dataset)

    def gather(self, index: torch.Tensor) -> Pair:
        samples = [self.dataset[i] for i in index.tolist()]
        x, y = (torch.stack([_tensor(sample[part]) for sample in samples]) for part in (0, 1))
        return prepared(x, self.dtype, self.device), prepared(y, self.dtype, self.device)


def prepared(values: torch.Tensor, dtype: torch.dtype, device: str) -> torch.Tensor:
    """`values` as training wants them: floats in `dtype`, integers in int64 (embeddings and classes), contiguous."""
    wanted = dtype if values.is_floating_point() else torch.int64
    return values.detach().to(device=device, dtype=wanted).contiguous()


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value))
