"""Sequences: Conformer, LFM's short convolutions, TCN, WaveNet, gMLP, minimal gated recurrences."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.papers.case import Batch, Case, chain, classes
from benchmarks.papers.pictures import Attention


def frames(drawn: torch.Generator) -> Batch:
    """Frames of 12 features that glide between ten patterns, and which pattern is near."""
    patterns = torch.randn(10, 12, generator=torch.Generator().manual_seed(3))
    labels = torch.randint(10, (16, 8), generator=drawn).repeat_interleave(3, 1)
    x = patterns[labels] + 1.2 * torch.randn(16, 24, 12, generator=drawn)
    return (x,), labels


class ConvModule(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.into = nn.LayerNorm(width), nn.Conv1d(width, 2 * width, 1)
        self.depth, self.batch = nn.Conv1d(width, width, 7, padding=3, groups=width), nn.BatchNorm1d(width)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.glu(self.into(self.norm(x).transpose(1, 2)), 1)
        return self.out(F.silu(self.batch(self.depth(x)))).transpose(1, 2)


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, norm (Gulati et al., 2020, equation 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = (
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
            for _ in range(2)
        )
        self.norm, self.mix, self.conv, self.last = (
            nn.LayerNorm(width),
            Attention(width),
            ConvModule(width),
            nn.LayerNorm(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.one(x) / 2
        x = x + self.mix(self.norm(x))
        x = x + self.conv(x)
        return self.last(x + self.two(x) / 2)


class Conformer(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.into, self.head = nn.Linear(12, width), nn.Linear(width, 10)
        self.blocks = nn.Sequential(ConformerBlock(width), ConformerBlock(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.into(x)))


class ShortConv(nn.Module):
    """B, C, x of one matrix; C ⊙ conv(B ⊙ x), and a matrix out (Liquid AI, LFM2, 2025)."""

    def __init__(self, width: int, size: int = 3) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.conv, self.size = nn.Conv1d(width, width, size, groups=width, bias=False), size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, x = self.into(x).transpose(1, 2).chunk(3, 1)
        return self.out((c * self.conv(F.pad(b * x, (self.size - 1, 0)))).transpose(1, 2))


class Swiglu(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(width, 2 * width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Lfm(nn.Module):
    """Blocks of short convolutions and SwiGLU between RMS norms, tied; weights N(0, 0.02²) as transformers has."""

    def __init__(self, tokens: int = 64, width: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(tokens, width), nn.RMSNorm(width)
        self.convs = nn.ModuleList(ShortConv(width) for _ in range(blocks))
        self.feeds = nn.ModuleList(Swiglu(width) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(2 * blocks))
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for i, (conv, feed) in enumerate(zip(self.convs, self.feeds, strict=True)):
            x = x + conv(self.norms[2 * i](x))
            x = x + feed(self.norms[2 * i + 1](x))
        return F.linear(self.last(x), self.table.weight)


class Tcn(nn.Module):
    """Two dilated causal convolutions with ReLU a block, and a sum (Bai, Kolter & Koltun, 2018), N(0, 0.01²)."""

    def __init__(self, tokens: int = 64, width: int = 32) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(tokens, width), nn.Linear(width, tokens)
        self.ones = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=2**i) for i in range(3))
        self.twos = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=2**i) for i in range(3))
        for conv in (*self.ones, *self.twos):
            nn.init.normal_(conv.weight, std=0.01)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens).transpose(1, 2)
        for i, (one, two) in enumerate(zip(self.ones, self.twos, strict=True)):
            made = F.relu(one(F.pad(x, (2 ** (i + 1), 0))))
            x = F.relu(x + F.relu(two(F.pad(made, (2 ** (i + 1), 0)))))
        return self.head(x.transpose(1, 2))


class WaveNet(nn.Module):
    """tanh ⊙ σ of dilated convolutions, residual and skip (van den Oord et al., 2016, section 2.3 and 2.4)."""

    def __init__(self, tokens: int = 64, width: int = 32) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, width)
        self.gated = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=2**i) for i in range(4))
        self.on, self.skip = (nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(4)) for _ in range(2))
        self.out1, self.out2 = nn.Conv1d(width, width, 1), nn.Conv1d(width, tokens, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, skipped = self.table(tokens).transpose(1, 2), 0.0
        for i, (gated, on, skip) in enumerate(zip(self.gated, self.on, self.skip, strict=True)):
            a, b = gated(F.pad(x, (2**i, 0))).chunk(2, 1)
            made = torch.tanh(a) * torch.sigmoid(b)
            skipped = skipped + skip(made)
            x = x + on(made)
        return self.out2(F.relu(self.out1(F.relu(skipped)))).transpose(1, 2)


class Gmlp(nn.Module):
    """Spatial gating: u ⊙ (W v + 1), W near zero (Liu et al., Pay attention to MLPs, 2021), masked to the past."""

    def __init__(self, tokens: int = 64, width: int = 32, length: int = 24, blocks: int = 2) -> None:
        super().__init__()
        self.table, self.head, self.last = nn.Embedding(tokens, width), nn.Linear(width, tokens), nn.LayerNorm(width)
        self.norms, self.inner = (nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks)) for _ in range(2))
        self.into = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(blocks))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.mix = nn.ParameterList(nn.Parameter(1e-3 / length * torch.randn(length, length)) for _ in range(blocks))
        self.bias = nn.ParameterList(nn.Parameter(torch.ones(length, 1)) for _ in range(blocks))
        self.register_buffer("past", torch.tril(torch.ones(length, length)))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for i, (norm, inner) in enumerate(zip(self.norms, self.inner, strict=True)):
            u, v = F.gelu(self.into[i](norm(x))).chunk(2, -1)
            v = (self.mix[i] * self.past) @ inner(v) + self.bias[i]
            x = x + self.out[i](u * v)
        return self.head(self.last(x))


class MinGru(nn.Module):
    """h = (1 − z)·h + z·h̃, where gates read the input alone (Feng et al., Were RNNs all we needed?, 2024)."""

    def __init__(self, tokens: int = 64, width: int = 48) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(tokens, width), nn.Linear(width, tokens)
        self.z, self.h = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        z, made = torch.sigmoid(self.z(x)), self.h(x)
        state, states = torch.zeros_like(made[:, 0]), []
        for step in range(x.shape[1]):
            state = (1 - z[:, step]) * state + z[:, step] * made[:, step]
            states.append(state)
        return self.head(torch.stack(states, 1))


CASES = (
    Case("sequences/conformer", Conformer, frames, classes),
    Case("sequences/lfm", Lfm, chain(), classes),
    Case("sequences/tcn", Tcn, chain(), classes),
    Case("sequences/wavenet", WaveNet, chain(), classes),
    Case("sequences/gmlp", Gmlp, chain(), classes),
    Case("sequences/min_gru", MinGru, chain(), classes),
)
