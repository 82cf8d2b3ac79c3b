"""Feature-wise linear modulation by a condition: scales begin at one and shifts at zero; other products are drawn."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab

GENERATOR = torch.Generator().manual_seed(0)
X, C = torch.randn(64, 12, generator=GENERATOR), torch.randn(64, 8, generator=GENERATOR)


class Film(nn.Module):
    """A hidden layer that a condition scales and shifts: `how` says in which of the ways that people write it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.out = nn.Linear(12, 24), nn.Linear(24, 3)
        self.gamma, self.beta = nn.Linear(8, 24, bias=how != "no bias"), nn.Linear(8, 24)
        self.both, self.deep = nn.Linear(8, 48), nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 24))
        self.own, self.other = nn.Linear(12, 24), nn.Linear(12, 24)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        if self.how == "packed":
            scale, shift = self.both(c).chunk(2, -1)
        elif self.how == "shift first":
            shift, scale = self.both(c).split(24, -1)
        elif self.how == "own input":
            scale, shift = self.own(x), self.other(x)
        elif self.how == "score":
            return self.out(F.relu(self.gamma(c) * h))
        elif self.how == "deep":
            scale, shift = self.deep(c), self.beta(c)
        else:
            scale, shift = self.gamma(c), self.beta(c)
        return self.out(F.relu(scale * h + shift))


@pytest.mark.parametrize("how", ["packed", "shift first", "split", "deep"])
def test_a_condition_changes_nothing_at_first(how: str) -> None:
    model = Film(how)
    initlab.init_(model, example_inputs=(X, C))
    plain = model.out(F.relu(model.first(X)))
    assert torch.allclose(model(X, C), plain, atol=1e-6)
    model(X, C).square().mean().backward()
    made = {"packed": model.both, "shift first": model.both, "deep": model.deep[2]}.get(how, model.gamma)
    assert made.weight.grad is not None
    assert made.weight.grad.any()


@pytest.mark.parametrize("how", ["own input", "score", "no bias"])
def test_other_products_are_drawn(how: str) -> None:
    plan = initlab.plan(Film(how), (X, C))
    name = "own" if how == "own input" else "gamma"
    assert plan[f"{name}.weight"].std


def test_a_scale_that_is_given_too_is_drawn() -> None:
    class Given(Film):
        def forward(self, x: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
            scale, shift = self.both(c).chunk(2, -1)
            return self.out(F.relu(scale * self.first(x) + shift)), scale

    assert initlab.plan(Given("packed"), (X, C))["both.weight"].std
