"""Six small architectures on the digits, for recipes against each other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from initlab.data import digits

LEVELS, LENGTH, WIDTH, HEADS, DEPTH = 17, 64, 32, 2, 2
START = LEVELS  # the token before the first pixel


class ResNet(nn.Module):
    """Residual blocks of two convolutions with batch norm, over the 8×8 image."""

    def __init__(self, channels: int = 16, blocks: int = 3) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.one, self.two = (
            nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(blocks))
            for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2 * blocks))
        self.head = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        for i, (one, two) in enumerate(zip(self.one, self.two, strict=True)):
            h = torch.relu(self.norms[2 * i](one(x)))
            x = torch.relu(x + self.norms[2 * i + 1](two(h)))
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    """Queries, keys and values in weights of their own; positions by rotation where asked."""

    def __init__(self, bias: bool, causal: bool, rotary: bool = False, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=bias) for _ in range(4))
        self.causal, self.rotary, self.heads = causal, rotary, heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for part in (self.q, self.k, self.v))
        if self.rotary:
            q, k = turned(q), turned(k)
        made = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(made.transpose(1, 2).reshape(x.shape))


def turned(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions (Su et al. 2021)."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    one, two = x.chunk(2, -1)
    return torch.cat([one * angle.cos() - two * angle.sin(), two * angle.cos() + one * angle.sin()], -1)


class GptBlock(nn.Module):
    def __init__(self, causal: bool = True, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.attention = Attention(True, causal, width=width, heads=heads)
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class LlamaBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm_1, self.norm_2 = Attention(False, True, True), nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.gate, self.up, self.down = (
            nn.Linear(a, b, bias=False) for a, b in ((WIDTH, 88), (WIDTH, 88), (88, WIDTH))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm_1(x))
        h = self.norm_2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class ExpertBlock(nn.Module):
    """Four experts, of which each token takes the best."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm_1, self.norm_2 = Attention(False, True, True), nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.router = nn.Linear(WIDTH, 4, bias=False)
        self.up, self.down = (
            nn.ModuleList(nn.Linear(a, b, bias=False) for _ in range(4)) for a, b in ((WIDTH, 64), (64, WIDTH))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm_1(x))
        h = self.norm_2(x)
        share, chosen = self.router(h).softmax(-1).topk(1, -1)
        made = torch.stack([down(F.silu(up(h))) for up, down in zip(self.up, self.down, strict=True)], -2)
        picked = made.gather(-2, chosen.unsqueeze(-1).expand(*chosen.shape, WIDTH))
        return x + (picked * share.unsqueeze(-1)).sum(-2)


class Decoder(nn.Module):
    """Blocks over the pixels before each pixel; a table of positions where the blocks have none."""

    def __init__(
        self, block: Callable[[], nn.Module], positions: bool, width: int = WIDTH, length: int = LENGTH
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(LEVELS + 1, width)
        self.positions = nn.Parameter(0.02 * torch.randn(1, length, width)) if positions else None
        self.blocks = nn.ModuleList(block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(width) if positions else nn.RMSNorm(width)
        self.head = nn.Linear(width, LEVELS, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        x = x if self.positions is None else x + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).transpose(1, 2)  # classes along axis 1, as cross-entropy takes them


class ViT(nn.Module):
    """Patches of 2×2, a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(1, WIDTH, 2, stride=2), nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 17, WIDTH))
        self.blocks, self.norm = nn.ModuleList(GptBlock(causal=False) for _ in range(DEPTH)), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.patch(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(len(h), -1, -1), h], 1) + self.positions
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h)[:, 0])


def mlp() -> nn.Module:
    layers: list[nn.Module] = []
    for width in (64, 128, 128, 128):
        layers += [nn.Linear(width, 128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 10))


def gpt() -> nn.Module:
    return Decoder(GptBlock, positions=True)


def llama() -> nn.Module:
    return Decoder(LlamaBlock, positions=False)


def experts() -> nn.Module:
    return Decoder(ExpertBlock, positions=False)


Pair = tuple[torch.Tensor, torch.Tensor]


def data_of(kind: str) -> tuple[Pair, Pair]:
    """(train, test) of the embedded digits: "rows" of 64 numbers, "images", or "pixels" to be told one by one."""
    if kind != "pixels":
        split = digits(flat=kind == "rows")
        return split.train, split.test
    raw = digits(normalize=False)
    made = []
    for x, _ in (raw.train, raw.test):
        levels = (x * 16).round().long()
        before = torch.cat([torch.full((len(levels), 1), START), levels[:, :-1]], 1)
        made.append((before, levels))
    return made[0], made[1]
