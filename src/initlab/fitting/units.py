"""The visible units of a restricted Boltzmann machine: what tells Bernoulli ones from Gaussian ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Units:
    """One kind of visible units.

    Args:
        lr: the usual learning rate.
        lr_of_chains: that with persistent chains.
        mean: pre-activation -> E[v | h]. It may write into what it is given.
        drawn: (mean, generator) -> states.
        energy: (rows v, biases b) -> the part of the energy that no hidden unit has, of shape (n,).
        bias: mean of the data -> the biases to begin with.
    """

    lr: float
    lr_of_chains: float
    mean: Callable[[Tensor], Tensor]
    drawn: Callable[[Tensor, torch.Generator], Tensor]
    energy: Callable[[Tensor, Tensor], Tensor]
    bias: Callable[[Tensor], Tensor]


def drawn(probability: Tensor, own: torch.Generator) -> Tensor:
    """1 with that probability, else 0."""
    return torch.rand(probability.shape, generator=own, device="cpu").lt_(probability)


def _noisy(mean: Tensor, own: torch.Generator) -> Tensor:
    return mean + torch.randn(mean.shape, generator=own, device="cpu")


VISIBLE: dict[str, Units] = {
    "bernoulli": Units(
        0.1,
        0.01,
        Tensor.sigmoid_,
        drawn,
        lambda rows, bias: -rows @ bias,
        lambda mean: mean.clamp(0.01, 0.99).logit(),
    ),
    "gaussian": Units(
        0.001,
        0.001,
        lambda mean: mean,
        _noisy,
        lambda rows, bias: 0.5 * (rows - bias).square().sum(1),
        lambda mean: mean,
    ),
}
