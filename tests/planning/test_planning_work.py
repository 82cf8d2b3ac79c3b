"""What planning does grows in proportion to depth: counted by how often it asks what made or reads a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.graph import regions
from initlab.graph.recording import Recording


class Residual(nn.Module):
    """Blocks without norms, so that nothing ends a walk back along the stream."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(depth))
        self.read = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return self.read(x)


def plain(depth: int) -> nn.Module:
    return nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(8, 8), nn.Tanh())), nn.Linear(8, 3))


@pytest.mark.parametrize("build", [Residual, plain])
def test_twice_the_depth_is_twice_the_work(build: Callable[[int], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any) -> Any:
            nonlocal asked
            asked += 1
            return method(*args)

        return ask

    for name in ("producer", "consumers"):
        monkeypatch.setattr(Recording, name, counted(getattr(Recording, name)))
    counts = []
    for depth in (40, 80, 160):
        asked = 0
        initlab.plan(build(depth), torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
        counts.append(asked)
    assert counts[2] - counts[1] < 2.2 * (counts[1] - counts[0])


class Routed(nn.Module):
    """Experts, each of which takes the rows that a router sends to it."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.router, self.read = nn.Linear(8, experts), nn.Linear(8, 3)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(experts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares, chosen = self.router(x).softmax(-1).topk(2, -1)
        made = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, place = (chosen == number).nonzero(as_tuple=True)
            made = made.index_add(0, rows, shares[rows, place, None] * torch.tanh(expert(x[rows])))
        return self.read(made)


def test_masks_of_many_experts_are_not_run_on_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    replayed = regions._replayed
    monkeypatch.setattr(regions, "_replayed", lambda *args: ran.append(1) or replayed(*args))
    initlab.plan(Routed(16), torch.randn(64, 8, generator=torch.Generator().manual_seed(0)))
    assert len(ran) < 16 * 100  # 920 an expert where each one's mask is measured
