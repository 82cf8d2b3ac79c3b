"""Branches of streams that never read each other are counted apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import initlab

WIDTH = 32


class Tower(nn.Module):
    """Residual branches of a matrix between norms, and what they read beside their own stream."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(layers))
        self.ends = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(layers))

    def forward(self, x: torch.Tensor, beside: torch.Tensor | None = None) -> torch.Tensor:
        for norm, end in zip(self.norms, self.ends, strict=True):
            read = norm(x) if beside is None else norm(x) + beside
            x = x + end(torch.relu(read))
        return x


class Towers(nn.Module):
    """A tower of two branches and one of six: they meet in a score, in a sum, or one reads what the other made."""

    def __init__(self, meet: str) -> None:
        super().__init__()
        self.meet, self.left, self.right = meet, Tower(2), Tower(6)
        self.last = nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        left = self.last(self.left(x))
        right = self.last(self.right(y, left if self.meet == "read" else None))
        return left @ right.T if self.meet == "score" else left + right if self.meet == "sum" else right


@pytest.mark.parametrize(("meet", "branches"), [("score", (2, 6)), ("sum", (8, 8)), ("read", (8, 8))])
def test_a_branch_is_a_share_of_its_own_stream_and_of_those_that_it_meets(meet: str, branches: tuple[int, int]) -> None:
    x, y = torch.randn(2, 512, WIDTH, generator=torch.Generator().manual_seed(0))
    model = Towers(meet)
    plan = initlab.init_(model, example_inputs=(x, y))
    for name, tower, given, count in zip(("left", "right"), (model.left, model.right), (x, y), branches, strict=True):
        assert f"one of {count} that end" in plan[f"{name}.ends.0.weight"].reason
        with torch.no_grad():
            beside = model.last(model.left(x)) if (name, meet) == ("right", "read") else 0.0
            branch = tower.ends[0](torch.relu(tower.norms[0](given) + beside))
        share = float(branch.square().mean() / given.square().mean())
        assert share == pytest.approx(1 / count, rel=0.25)  # 32 units, drawn once
