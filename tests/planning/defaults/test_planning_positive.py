"""Matrices that a function makes positive: their mean sizes what they make, and no std does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import initlab

F = nn.functional
X = torch.randn(128, 8, generator=torch.Generator().manual_seed(0))


class Monotone(nn.Module):
    """Two hidden layers whose later weights a function makes."""

    def __init__(self, made: Callable[[Tensor], Tensor], start: float = 0.0) -> None:
        super().__init__()
        self.first, self.made = nn.Linear(8, 128), made
        self.second, self.last = (nn.Parameter(start + 0.1 * torch.randn(n, 128)) for n in (128, 128))

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.softplus(F.linear(torch.relu(self.first(x)), self.made(self.second)))
        return F.linear(hidden, self.made(self.last))


POSITIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "softplus": F.softplus,
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
    "elu + 1": lambda w: F.elu(w) + 1,
    "turned": lambda w: F.softplus(w).t(),
}


@pytest.mark.parametrize("kind", POSITIVE)
def test_a_layer_of_positive_weights_keeps_the_size_of_what_it_reads(kind: str) -> None:
    model = Monotone(POSITIVE[kind])
    assert float(model(X).square().mean().detach()) > 1e3  # as its author drew it
    plan = initlab.init_(model, "auto", example_inputs=X)
    assert plan["second"].code == plan["last"].code == "positive"
    read = torch.relu(model.first(X)).detach()
    hidden = F.linear(read, model.made(model.second)).detach()
    assert 0.1 < float(hidden.square().mean() / read.square().mean()) < 2  # a relu's mean has a third of its square
    assert float(hidden.var(1).mean()) > 1e-3  # units differ
    assert 0.25 < float(model(X).square().mean().detach()) < 4


@pytest.mark.parametrize("made", [torch.abs, torch.square, torch.relu, torch.tanh, lambda w: w + 1])
def test_what_a_std_brings_to_size_is_drawn_as_ever(made: Callable[[Tensor], Tensor]) -> None:
    assert initlab.plan(Monotone(made), X)["second"].code != "positive"


def test_a_mean_that_the_author_chose_is_kept() -> None:
    assert initlab.plan(Monotone(torch.exp, -5.0), X)["second"].action == "keep"
