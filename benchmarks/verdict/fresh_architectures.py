"""The fifth wave of architectures, held out: kinds of networks that no other wave has.

Chosen before anything of them was looked at; the trees are scored on them once and never fitted to them.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.verdict import tasks
from benchmarks.verdict.layouts import Architecture, fitting, mlp
from benchmarks.verdict.library_architectures import LIBRARY

Tensor = torch.Tensor


class FourierMixing(nn.Module):
    """Lee-Thorp et al. 2022: places and channels mixed by a fixed Fourier transform, between norms and skips."""

    def __init__(self, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(features, width), nn.Linear(width, out)
        self.mixed = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.blocks = nn.ModuleList(mlp(1, 2 * width, nn.GELU, None, width, width) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for mixed, norm, block in zip(self.mixed, self.norms, self.blocks, strict=True):
            x = mixed(x + torch.fft.fft2(x, norm="ortho").real)
            x = norm(x + block(x))
        return self.head(x.mean(1))


class Capsules(nn.Module):
    """Sabour et al. 2017: groups of units whose length is squashed under one; a class is its group's length."""

    def __init__(self, width: int, features: int, out: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(features, 4 * width), nn.Linear(4 * width, 4 * out)
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.squashed(self.second(self.squashed(self.first(x)).flatten(1))).norm(dim=-1)

    def squashed(self, x: Tensor) -> Tensor:
        x = x.unflatten(-1, (-1, 4))
        square = x.square().sum(-1, keepdim=True)
        return x * square / (1 + square) / (square + 1e-8).sqrt()


class Chebyshev(nn.Module):
    """Layers that are linear in the first four Chebyshev polynomials of each squashed input."""

    def __init__(self, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        sizes = [features] + [width] * depth
        self.layers = nn.ModuleList(nn.Linear(4 * a, width) for a in sizes[:-1])
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            t = x.tanh()
            x = layer(torch.cat([t, 2 * t**2 - 1, 4 * t**3 - 3 * t, 8 * t**4 - 8 * t**2 + 1], -1))
        return self.head(x)


def low_rank(depth: int, width: int, rank: int, features: int, out: int) -> nn.Module:
    """Every hidden matrix a product of two thin ones."""
    layers: list[nn.Module] = [nn.Linear(features, width)]
    for _ in range(depth):
        layers += [nn.ReLU(), nn.Linear(width, rank, bias=False), nn.Linear(rank, width)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(width, out))


class Hyper(nn.Module):
    """Ha et al. 2017: the weights of each layer are written by one small network from a code of the layer."""

    def __init__(self, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.randn(depth, 8))
        self.writer = nn.Linear(8, width * width)
        self.stem, self.head, self.width = nn.Linear(features, width), nn.Linear(width, out), width

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for weight in self.writer(self.codes).unflatten(-1, (self.width, self.width)):
            x = F.silu(x @ weight / self.width**0.5)
        return self.head(x)


class SoftTree(nn.Module):
    """Frosst & Hinton 2017: sigmoids route a sample down a binary tree, whose leaves hold the answers."""

    def __init__(self, depth: int, features: int, out: int) -> None:
        super().__init__()
        self.routes = nn.Linear(features, 2**depth - 1)
        self.leaves, self.depth = nn.Parameter(0.1 * torch.randn(2**depth, out)), depth

    def forward(self, x: Tensor) -> Tensor:
        right = self.routes(x).sigmoid()
        reached = torch.ones_like(right[:, :1])
        for level in range(self.depth):
            at = right[:, 2**level - 1 : 2 ** (level + 1) - 1]
            reached = torch.stack([reached * (1 - at), reached * at], -1).flatten(1)
        return reached @ self.leaves


class Prototypes(nn.Module):
    """Answers by the distances of an embedding from trained points."""

    def __init__(self, width: int, features: int, out: int) -> None:
        super().__init__()
        self.body = mlp(2, width, nn.ReLU, None, features, width)
        self.points = nn.Parameter(torch.randn(out, width))

    def forward(self, x: Tensor) -> Tensor:
        return -(self.body(x)[:, None] - self.points).square().sum(-1)


class Spheres(nn.Module):
    """Every hidden vector and the rows of the last matrix at length one, as in face recognition."""

    def __init__(self, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        sizes = [features] + [width] * depth
        self.layers = nn.ModuleList(nn.Linear(a, width) for a in sizes[:-1])
        self.rows, self.scale = nn.Parameter(torch.randn(out, width)), nn.Parameter(torch.tensor(8.0))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.normalize(F.gelu(layer(x)), dim=-1)
        return self.scale * F.linear(x, F.normalize(self.rows, dim=-1))


class Grid(nn.Module):
    """Kipf & Welling 2017: pixels pass messages to their neighbours, over a fixed normalised matrix."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        at = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0))
        near = (torch.cdist(at, at) < 1.5).float()
        self.register_buffer("near", near / (near.sum(0)[:, None] * near.sum(1)).sqrt())
        self.layers = nn.ModuleList(nn.Linear(a, width) for a in [3] + [width] * (depth - 1))
        self.register_buffer("at", (at - 3.5) / 2.3)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x[..., None], self.at.expand(len(x), -1, -1)], -1)
        for layer in self.layers:
            x = F.relu(layer(self.near @ x))
        return self.head(x.amax(1))


class Reservoir(nn.Module):
    """Jaeger 2001: a fixed random recurrence, and a trained network that reads its last state."""

    def __init__(self, size: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.register_buffer("into", torch.randn(features, size) / features**0.5)
        self.register_buffer("onward", 0.9 * torch.randn(size, size) / size**0.5)
        self.read = mlp(1, width, nn.Tanh, None, size, out)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), self.onward.shape[0])
        for i in range(x.shape[1]):
            state = (x[:, i] @ self.into + state @ self.onward).tanh()
        return self.read(state)


class Memory(nn.Module):
    """Ramsauer et al. 2021: layers that look their input up among trained patterns, with skips."""

    def __init__(self, depth: int, width: int, patterns: int, features: int, out: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(features, width), nn.Linear(width, out)
        self.keys = nn.ParameterList(nn.Parameter(torch.randn(patterns, width)) for _ in range(depth))
        self.values = nn.ParameterList(nn.Parameter(0.2 * torch.randn(patterns, width)) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for key, value in zip(self.keys, self.values, strict=True):
            x = x + (x @ key.t() / key.shape[1] ** 0.5).softmax(-1) @ value
        return self.head(x)


class Dilated(nn.Module):
    """van den Oord et al. 2016: causal convolutions over tokens with gates, growing gaps, and summed skips."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.token = nn.Embedding(tasks.VOCABULARY, width)
        self.layers = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=2**i) for i in range(depth))
        self.skips = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(depth))
        self.head = nn.Linear(width, tasks.VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        h, total = self.token(x).transpose(1, 2), 0.0
        for layer, skip in zip(self.layers, self.skips, strict=True):
            value, gate = layer(F.pad(h, (layer.dilation[0], 0))).chunk(2, 1)
            y = value.tanh() * gate.sigmoid()
            h, total = h + y, total + skip(y)
        return self.head(F.relu(total).transpose(1, 2))


class Factors(nn.Module):
    """Guo et al. 2017: a linear part, products of pairs by thin factors, and a small network, added up."""

    def __init__(self, rank: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.line, self.deep = nn.Linear(features, out), mlp(2, width, nn.ReLU, None, features, out)
        self.factors = nn.Parameter(0.1 * torch.randn(out, features, rank))

    def forward(self, x: Tensor) -> Tensor:
        total = torch.einsum("bf,ofr->bor", x, self.factors).square()
        own = torch.einsum("bf,ofr->bor", x.square(), self.factors.square())
        return self.line(x) + self.deep(x) + (total - own).sum(-1) / 2


class Crossed(nn.Module):
    """Wang et al. 2021: x = x0 * (W x + b) + x, again and again."""

    def __init__(self, depth: int, features: int, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(features, features) for _ in range(depth))
        self.head = nn.Linear(features, out)

    def forward(self, x: Tensor) -> Tensor:
        first = x
        for layer in self.layers:
            x = first * layer(x) + x
        return self.head(x)


class Columns(nn.Module):
    """Gorishniy et al. 2021: each column of a table is a token; attention among them."""

    def __init__(self, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.randn(features, width) / width**0.5) for _ in range(2))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x[..., None] * self.weight + self.bias).mean(1))


class Latents(nn.Module):
    """Jaegle et al. 2021: a few trained vectors attend to the rows, then pass through a network, twice."""

    def __init__(self, count: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(0.1 * torch.randn(count, width))
        self.place = nn.Parameter(0.1 * torch.randn(8, width))
        self.stem, self.head = nn.Linear(features, width), nn.Linear(count * width, out)
        self.looks = nn.ModuleList(nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(2))
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), mlp(1, 2 * width, nn.GELU, None, width, width))
                                    for _ in range(2))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        rows, h = self.stem(x) + self.place, self.latents.expand(len(x), -1, -1)
        for look, block in zip(self.looks, self.blocks, strict=True):
            h = h + look(h, rows, rows, need_weights=False)[0]
            h = h + block(h)
        return self.head(h.flatten(1))


class BothSigns(nn.Module):
    """Shang et al. 2016: each layer's output is relu(x) beside relu(-x)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.relu(), (-x).relu()], -1)


def both_signs(depth: int, width: int, features: int, out: int) -> nn.Module:
    layers: list[nn.Module] = []
    for a in [features] + [2 * width] * (depth - 1):
        layers += [nn.Linear(a, width), BothSigns()]
    return nn.Sequential(*layers, nn.Linear(2 * width, out))


class Sorted(nn.Module):
    """Anil et al. 2019: units sorted in groups of four, instead of an activation function."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, 4)).sort(-1).values.flatten(-2)


_F = fitting
KINDS: tuple[Architecture, ...] = (
    _F("fourier mixing 3x32", "fourier", lambda i, o: FourierMixing(3, 32, i, o), tasks.digit_rows),
    _F("capsules 24", "capsules", lambda i, o: Capsules(24, i, o), tasks.digits),
    _F("chebyshev 2x24 friedman", "polynomials", lambda i, o: Chebyshev(2, 24, i, o), tasks.friedman),
    _F("low rank 5x64", "low rank", lambda i, o: low_rank(5, 64, 4, i, o), tasks.digits),
    _F("hyper 4x24 blobs", "hypernetwork", lambda i, o: Hyper(4, 24, i, o), tasks.blobs),
    _F("soft tree 5", "tree", lambda i, o: SoftTree(5, i, o), tasks.digits),
    _F("prototypes 32 wine", "prototypes", lambda i, o: Prototypes(32, i, o), tasks.wine),
    _F("spheres 4x48", "spheres", lambda i, o: Spheres(4, 48, i, o), tasks.digits),
    Architecture("grid 4x24", "graph", lambda: Grid(4, 24), tasks.digits),
    _F("reservoir 80", "reservoir", lambda i, o: Reservoir(80, 32, i, o), tasks.digit_rows),
    _F("memory 3x40 curve", "memory", lambda i, o: Memory(3, 40, 32, i, o), tasks.curve),
    Architecture("dilated 4x24", "dilated", lambda: Dilated(4, 24), tasks.chain),
    _F("factors 4 labels", "factors", lambda i, o: Factors(4, 24, i, o), tasks.labels),
    _F("crossed 3 cancer", "crossed", lambda i, o: Crossed(3, i, o), tasks.cancer),
    _F("columns 2x16 wine", "columns", lambda i, o: Columns(2, 16, i, o), tasks.wine),
    _F("latents 4x24", "latents", lambda i, o: Latents(4, 24, i, o), tasks.digit_rows),
    _F("both signs 7x32", "both signs", lambda i, o: both_signs(7, 32, i, o), tasks.digits),
    _F("sorted 5x40", "sorted", lambda i, o: mlp(5, 40, Sorted, None, i, o), tasks.digits),
)  # fmt: skip
FRESH = (*KINDS, *LIBRARY)
