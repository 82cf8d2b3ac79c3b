"""A small model of tokens: tables, branches and a tied head, and what it is given."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

F = nn.functional


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(32), nn.Linear(32, 64), nn.Linear(64, 32)

    def forward(self, x: torch.Tensor) -> Any:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Tokens(nn.Module):
    """Tokens and positions in tables, two branches, the head tied to the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(100, 32), nn.Embedding(16, 32)
        self.blocks, self.norm = nn.Sequential(Branch(), Branch()), nn.LayerNorm(32)
        self.head = nn.Linear(32, 100, bias=False)
        self.head.weight = self.tokens.weight

    def stream(self, ids: torch.Tensor) -> Any:
        return self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))

    def forward(self, ids: torch.Tensor) -> Any:
        return self.head(self.norm(self.blocks(self.stream(ids))))


IDS = torch.randint(0, 100, (8, 16), generator=torch.Generator().manual_seed(0))
