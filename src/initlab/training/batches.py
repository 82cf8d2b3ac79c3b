"""Which samples make the batch of each step, and where they are fetched from: memory, or a Dataset read by index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from initlab.errors import InputError
from initlab.sampling import derive_seed
from initlab.training.task import Pair, RunSpec, Task


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


def source_of(data: Pair | Source, task: Task) -> Source:
    """`data` as a source: tensors are converted once, a source is used as it is."""
    if not isinstance(data, tuple):
        return data
    x, y = data
    return InMemory(prepared(x, task.dtype, task.device), prepared(y, task.dtype, task.device))


def with_sources(task: Task) -> Task:
    """The task with its data as sources: what is converted is converted once, whoever shares it."""
    valid = None if task.valid is None else source_of(task.valid, task)
    return replace(task, train=source_of(task.train, task), test=source_of(task.test, task), valid=valid)


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value))


class Order:
    """The samples of every step of one data order: epoch by epoch, a fresh permutation cut into batches.

    Args:
        samples: n, the samples in the training set.
        batch_size: at most n are taken.
        drop_last: leave out the short batch that ends an epoch.
        seed: the order is a function of it.
        device: where indices are put.
    """

    def __init__(self, samples: int, batch_size: int, drop_last: bool, seed: int, device: str = "cpu") -> None:
        self.samples = samples
        self.batch_size = min(batch_size, samples)
        whole, rest = divmod(samples, self.batch_size)
        self.steps_per_epoch = whole if drop_last or not rest else whole + 1
        self.seed = seed
        self.device = device
        self._epoch = -1
        self._permutation = torch.empty(0, dtype=torch.int64)

    def batch(self, step: int) -> torch.Tensor:
        """Indices of step `step` (from 0): (batch_size,) int64, fewer in the short batch that ends an epoch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = np.random.default_rng(derive_seed(self.seed, "epoch", epoch))
            self._permutation = torch.from_numpy(generator.permutation(self.samples)).to(self.device)
            self._epoch = epoch
        start = position * self.batch_size
        return self._permutation[start : start + self.batch_size]


def order_seed(task: Task, spec: RunSpec) -> int:
    """The seed of a run's data order: one for all schemes with the run's seed, or one for the whole study."""
    return derive_seed(task.root_seed, "order", "shared" if task.shared_order else spec.seed)


def orders(task: Task, specs: Sequence[RunSpec], samples: int) -> dict[int, Order]:
    """The distinct data orders of `specs`, by order seed, in the order they first appear."""
    seeds = dict.fromkeys(order_seed(task, spec) for spec in specs)
    return {seed: Order(samples, task.batch_size, task.drop_last, seed, task.device) for seed in seeds}
