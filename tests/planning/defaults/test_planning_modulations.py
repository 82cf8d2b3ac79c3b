"""Weights that make scales 1 + s of norms, with shifts and gates: zero, and what is no such weight is drawn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab

GENERATOR = torch.Generator().manual_seed(0)
X, C = torch.randn(16, 6, 24, generator=GENERATOR), torch.randn(16, 24, generator=GENERATOR)


class Rows(nn.Module):
    """A norm written out, with a scale of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(24))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.scale


class Block(nn.Module):
    """A branch whose norm is modulated by a condition: `how` says in which of the ways that people write it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.norm = Rows() if how == "written out" else nn.LayerNorm(24, elementwise_affine=False)
        self.after, self.wide, self.end = Rows(), nn.Linear(24, 48), nn.Linear(48, 24)
        self.modulation = nn.Linear(24, 72)
        if how == "spectral":
            nn.utils.parametrizations.spectral_norm(self.modulation)
        self.table = nn.Parameter(torch.randn(3, 24) / 24**0.5)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        made = self.modulation(F.silu(c))
        if self.how == "table":
            shift, scale, gate = (self.table[None] + made.unflatten(-1, (3, 24))).unbind(1)
        else:
            shift, scale, gate = made.chunk(3, -1)
        shift, scale, gate = shift[:, None], scale[:, None], gate[:, None]
        normed = self.norm(x)
        if self.how == "added back":
            inner = normed + normed * scale + shift
        elif self.how == "no one added":
            inner = normed * scale + shift
        else:
            inner = normed * (1 + scale) + shift
        branch = self.end(F.gelu(self.wide(inner)))
        if self.how == "sandwich":
            return x + gate.tanh() * self.after(branch)
        if self.how == "read too":
            return x + gate * branch + self.end(F.gelu(self.wide(shift)))
        return x + gate * branch


class Conditioned(nn.Module):
    def __init__(self, how: str, alone: bool = False) -> None:
        super().__init__()
        self.first, self.alone = nn.Linear(24, 24), alone
        self.start = nn.Parameter(torch.randn(1, 6, 24))
        self.blocks = nn.ModuleList(Block(how) for _ in range(2))
        self.norm, self.out = nn.LayerNorm(24), nn.Linear(24, 5)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = self.start + 0 if self.alone else self.first(x)
        for block in self.blocks:
            x = block(x, c)
        out: torch.Tensor = self.out(self.norm(x))
        return out


@pytest.mark.parametrize("how", ["plain", "added back", "written out", "sandwich", "table"])
def test_what_makes_scales_of_norms_is_zero_and_the_rest_is_sized_as_without(how: str) -> None:
    model = Conditioned(how)
    plan = initlab.init_(model, example_inputs=(X, C))
    for block in model.blocks:
        assert isinstance(block, Block)
        assert not block.modulation.weight.any()
        assert not block.table.any() or how != "table"
    entry = plan["blocks.0.wide.weight"]
    assert entry.predicted is not None
    assert entry.measured is not None
    assert entry.measured[0] == pytest.approx(entry.predicted, rel=0.2)
    assert "adaLN-Zero" in plan["blocks.0.modulation.weight"].reason


@pytest.mark.parametrize("how", ["no one added", "read too", "spectral"])
def test_what_does_more_or_would_leave_nothing_is_drawn(how: str) -> None:
    plan = initlab.plan(Conditioned(how), (X, C))
    made = [entry for entry in plan.entries if "modulation" in entry.name and entry.role == "weight"]
    assert made
    assert all(entry.std for entry in made)


def test_a_norm_of_learned_numbers_alone_is_left_its_only_input() -> None:
    """As a generator begins that reads a style by its norms alone (Karras et al., 2019)."""
    model = Conditioned("plain", alone=True)
    plan = initlab.init_(model, example_inputs=(X, C))
    assert plan["blocks.0.modulation.weight"].std
    made: Any = model(X, C)
    assert made.std(0).mean() > 0.01


def test_every_parameter_is_reached_by_gradients_within_three_steps() -> None:
    model = Conditioned("plain")
    initlab.init_(model, example_inputs=(X, C))
    optimizer, reached = torch.optim.SGD(model.parameters(), lr=0.1), set[str]()
    for _ in range(3):
        optimizer.zero_grad()
        F.mse_loss(model(X, C), X[..., :5]).backward()
        reached |= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    unused = {"start", *(n for n, _ in model.named_parameters() if n.endswith(("table", "after.scale")))}
    assert reached == {name for name, _ in model.named_parameters()} - unused
