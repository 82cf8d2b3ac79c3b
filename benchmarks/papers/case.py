"""A case: a model as its paper has it, and fresh batches of a task that it can learn a part of in 150 steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from initlab.data import mnist

Batch = tuple[tuple[torch.Tensor, ...], Any]
Make = Callable[[torch.Generator], Batch]
Loss = Callable[[Any, Any], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """One model with its task.

    Args:
        name: "kind/model".
        build: () -> the model from its own start.
        make: generator -> one fresh batch, (inputs, targets).
        loss: (what the model gives, targets) -> the loss that it is trained on, and judged by.
    """

    name: str
    build: Callable[[], nn.Module]
    make: Make
    loss: Loss

    def batches(self, seed: int) -> Iterator[Batch]:
        drawn = torch.Generator().manual_seed(seed)
        while True:
            yield self.make(drawn)


def mse(given: Any, target: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(given, target)


def mse_and_more(given: Any, target: torch.Tensor) -> torch.Tensor:
    """A reconstruction, and what the model itself adds to its loss."""
    return F.mse_loss(given[0], target) + given[1]


def classes(given: Any, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(given.reshape(-1, given.shape[-1]), target.reshape(-1))


@cache
def _mnist(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = mnist(flat=False, progress=False).train
    return (F.interpolate(images[:20000], (side, side), mode="area") if side != 28 else images[:20000]), labels[:20000]


def digits(side: int = 14, rows: int = 64, flat: bool = False) -> Make:
    """MNIST, standardised: (rows, 1, side, side) and digits."""

    def make(drawn: torch.Generator) -> Batch:
        images, labels = _mnist(side)
        chosen = torch.randint(len(labels), (rows,), generator=drawn)
        return (images[chosen].flatten(1) if flat else images[chosen],), labels[chosen]

    return make


def itself(make: Make) -> Make:
    """Inputs as targets."""

    def again(drawn: torch.Generator) -> Batch:
        given, _ = make(drawn)
        return given, given[0]

    return again


def vectors(features: int, teacher: Callable[[torch.Tensor], torch.Tensor], rows: int = 64) -> Make:
    """x ~ N(0, 1), and a teacher's answer."""

    def make(drawn: torch.Generator) -> Batch:
        x = torch.randn(rows, features, generator=drawn)
        return (x,), teacher(x)

    return make


def fixed(*shape: int, seed: int = 1) -> torch.Tensor:
    """Numbers of a teacher."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear(features: int) -> Callable[[torch.Tensor], torch.Tensor]:
    weights = fixed(features, 1) / features**0.5
    return lambda x: x @ weights


def waves(features: int) -> Callable[[torch.Tensor], torch.Tensor]:
    directions, phases = fixed(features, 6), 3 * fixed(6, seed=2)
    return lambda x: torch.sin(x @ directions / features**0.5 * 2 + phases).mean(-1, keepdim=True)


def chain(length: int = 24, rows: int = 16, tokens: int = 64) -> Make:
    """A chain with four successors a token; what is to be said is the next."""
    after = torch.randint(tokens, (tokens, 4), generator=torch.Generator().manual_seed(0))
    odds = torch.tensor([0.7, 0.15, 0.1, 0.05])

    def make(drawn: torch.Generator) -> Batch:
        turns = torch.multinomial(odds, rows * length, replacement=True, generator=drawn).reshape(length, rows)
        made = [torch.randint(tokens, (rows,), generator=drawn)]
        for turn in turns:
            made.append(after[made[-1], turn])
        sequence = torch.stack(made, 1)
        return (sequence[:, :-1],), sequence[:, 1:]

    return make
