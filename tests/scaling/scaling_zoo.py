"""Models of any width and depth for the tests of scaling: an MLP, a CNN, a GPT, a Llama, experts."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def mlp(width: int, head: type[nn.Module] = nn.Linear) -> nn.Module:
    """fc, relu, fc, relu, read-out, as the example of the mup package."""
    return nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), head(width, 4))


class CNN(nn.Module):
    def __init__(self, width: int, groups: int = 1) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(3, width, 3, padding=1),
            nn.Conv2d(width, width, 3, padding=1, groups=groups),
        )
        self.each = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.head = nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(torch.relu(self.each(x)).mean((2, 3)))


class Block(nn.Module):
    """Pre-norm attention and MLP; heads of 16, so that their number grows with the width."""

    def __init__(self, width: int, kv_heads: int | None = None) -> None:
        super().__init__()
        self.heads, self.kv = width // 16, kv_heads or width // 16
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * 16 * self.kv)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        h = self.norm_1(x)
        q = self.query(h).view(b, t, self.heads, 16).transpose(1, 2)
        k, v = (part.view(b, t, self.kv, 16).transpose(1, 2) for part in self.key_value(h).chunk(2, -1))
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.kv != self.heads)
        x = x + self.out(h.transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class GPT(nn.Module):
    def __init__(self, width: int, depth: int = 2, *, tied: bool = False, kv_heads: int | None = None) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(32, width), nn.Parameter(torch.zeros(1, 8, width))
        self.blocks = nn.ModuleList(Block(width, kv_heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 32, bias=False)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class LlamaBlock(nn.Module):
    """RMS norms, rotary positions, grouped queries, a gated unit; heads of 16."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads, self.kv, hidden = width // 16, width // 32, 8 * width // 3 // 16 * 16
        self.norm_1, self.norm_2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = (nn.Linear(width, 16 * self.kv, bias=False) for _ in range(2))
        self.gate, self.up, self.down = (
            nn.Linear(a, b, bias=False) for a, b in ((width, hidden), (width, hidden), (hidden, width))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        h = self.norm_1(x)
        q, k, v = (part(h).view(b, t, -1, 16).transpose(1, 2) for part in (self.query, self.key, self.value))
        h = F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True, enable_gqa=True)
        x = x + self.out(h.transpose(1, 2).reshape(b, t, d))
        h = self.norm_2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def turned(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions (Su et al. 2021)."""
    angle = torch.arange(x.shape[-2])[:, None] * 10_000.0 ** (-torch.arange(8) / 8)
    one, two = x.chunk(2, -1)
    return torch.cat([one * angle.cos() - two * angle.sin(), two * angle.cos() + one * angle.sin()], -1)


class Llama(nn.Module):
    def __init__(self, width: int, depth: int = 2) -> None:
        super().__init__()
        self.tokens, self.blocks = nn.Embedding(32, width), nn.ModuleList(LlamaBlock(width) for _ in range(depth))
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, 32, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Experts(nn.Module):
    """Four experts as one tensor each way, chosen by a router."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.router, self.head = nn.Linear(16, width), nn.Linear(width, 4, bias=False), nn.Linear(width, 4)
        self.up = nn.Parameter(torch.randn(4, width, 2 * width) / width**0.5)
        self.down = nn.Parameter(torch.randn(4, 2 * width, width) / width**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        shares, chosen = self.router(x).softmax(-1).topk(2)
        each = torch.einsum("edf,bd->ebf", self.up, x)
        made = torch.einsum("ebf,efd->ebd", torch.relu(each), self.down)
        kept = torch.zeros(len(x), 4).scatter(1, chosen, shares)
        return self.head(x + torch.einsum("ebd,be->bd", made, kept))


TOKENS = torch.arange(64).view(8, 8) % 32
IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))
