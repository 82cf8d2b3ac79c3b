"""Which samples make the batch of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from initlab.sampling import derive_seed
from initlab.training.sources import InMemory, Pair, Source, prepared
from initlab.training.task import RunSpec, Task


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
