"""Weights that a forward scales or masks before it uses them: fixed numbers count in the gain, and are measured."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import initlab

F = nn.functional
X = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))


class Equalised(nn.Module):
    """W/√fan_in at run time (progressive GANs, StyleGAN)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Parameter(torch.randn(64, 64)), nn.Parameter(torch.randn(10, 64))

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.first * 64**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(F.leaky_relu(self.hidden(x), 0.2), self.last / 8.0)


class Masked(nn.Module):
    """Half of the weights masked, by a buffer of bools (masked autoregressive flows)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 64), nn.Linear(64, 10)
        self.register_buffer("mask", torch.arange(64)[:, None] >= torch.arange(64))

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.mask * self.first.weight, self.first.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.hidden(x)))


class Called(nn.Module):
    """Twice the parameters through `torch.func.functional_call`."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(64, 64), nn.Linear(64, 10)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(self.inner, {k: 2 * v for k, v in self.inner.named_parameters()}, (x,))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.hidden(x)))


class Quarter(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * (torch.arange(weight.numel()).reshape(weight.shape) % 4 == 0)


class Pruned(nn.Module):
    """One in four weights left, by a parametrization."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.last = nn.Linear(64, 64), nn.Linear(64, 10)
        parametrize.register_parametrization(self.hidden, "weight", Quarter())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.gelu(self.hidden(x)))


# The factor by which a plain layer's std is to be multiplied: one over the root mean square of what multiplies it.
SCALED = [
    (Equalised, "first", 8.0),
    (Masked, "first.weight", math.sqrt(2 * 64 / 65)),
    (Called, "inner.weight", 0.5),
    (Pruned, "hidden.parametrizations.weight.original", 2.0),
]


@pytest.mark.parametrize(("build", "name", "factor"), SCALED, ids=lambda item: getattr(item, "__name__", ""))
def test_a_scaled_weight_gives_what_a_plain_one_does(build: type[nn.Module], name: str, factor: float) -> None:
    model = build()
    plan = initlab.init_(model, example_inputs=X)
    assert plan[name].std == pytest.approx(factor / 8 / math.sqrt(3), rel=0.03)  # data: 1/√(3·64) of a plain layer
    assert float(model.hidden(X).detach().square().mean()) == pytest.approx(1 / 3, rel=0.2)
    loss = F.cross_entropy(model(X), torch.arange(256) % 10)
    assert float(loss.detach()) == pytest.approx(
        math.log(10), rel=0.05
    )  # the read-out is scaled back to a first loss too


class OfEdges(nn.Module):
    """Weights times 1/√fan_in where they are used (e3nn), of edges, and of what is summed over neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(6, 64)), nn.Parameter(torch.randn(64, 64))
        self.last, self.head = nn.Parameter(torch.randn(64, 64)), nn.Linear(64, 3)

    def forward(self, edges: torch.Tensor) -> torch.Tensor:
        made = F.silu(edges @ (self.first / 6**0.5)) @ (self.second / 8)
        places = torch.zeros(16, 64).index_add(0, torch.arange(len(edges)) % 16, made) / 4
        out: torch.Tensor = self.head(torch.relu(places @ (self.last / 8)))
        return out


def test_a_gain_is_at_most_one_as_the_weight_is_used() -> None:
    plan = initlab.plan(OfEdges(), torch.randn(64, 6, generator=torch.Generator().manual_seed(0)))
    assert plan["second"].code == "fed", "what it reads is no sum over neighbours: a made weight is no signal"
    assert plan["last"].code == "neighbours"
    assert 0.7 < (plan["last"].std or 0.0) < 1.4, "divided by 8 where it is used"
