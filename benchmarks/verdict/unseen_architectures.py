"""The fourth wave of architectures, held out: wirings that no other wave has, and more of the drawn ones.

Chosen before anything of them was looked at; the trees are scored on them and never fitted to them.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from benchmarks.verdict import tasks
from benchmarks.verdict.drawn_architectures import drawn
from benchmarks.verdict.layouts import Act, Architecture, fitting, mlp

Tensor = torch.Tensor


class Maxout(nn.Module):
    """Each unit is the largest of `pieces` linear ones."""

    def __init__(self, depth: int, width: int, pieces: int, features: int, out: int) -> None:
        super().__init__()
        sizes = [features] + [width] * depth
        self.layers = nn.ModuleList(nn.Linear(a, pieces * width) for a in sizes[:-1])
        self.pieces, self.head = pieces, nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).unflatten(-1, (-1, self.pieces)).amax(-1)
        return self.head(x)


class Sets(nn.Module):
    """Every row through one network, their mean and their largest through another."""

    def __init__(self, width: int, features: int, out: int) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Linear(features, width), nn.ELU(), nn.Linear(width, width), nn.ELU())
        self.all = nn.Sequential(nn.Linear(2 * width, width), nn.ELU(), nn.Linear(width, out))

    def forward(self, x: Tensor) -> Tensor:
        h = self.each(x)
        return self.all(torch.cat([h.mean(1), h.amax(1)], 1))


class Experts(nn.Module):
    """Layers whose experts are weighed by a softmax of their own input."""

    def __init__(self, depth: int, width: int, experts: int, features: int, out: int) -> None:
        super().__init__()
        sizes = [features] + [width] * depth
        self.experts = nn.ModuleList(nn.Linear(a, experts * width) for a in sizes[:-1])
        self.gates = nn.ModuleList(nn.Linear(a, experts) for a in sizes[:-1])
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        for expert, gate in zip(self.experts, self.gates, strict=True):
            share = gate(x).softmax(-1)
            x = F.gelu((expert(x).unflatten(-1, (share.shape[-1], -1)) * share[..., None]).sum(-2))
        return self.head(x)


class Again(nn.Module):
    """One block applied again and again, x = x + step · f(x): its weights are shared by all depths."""

    def __init__(self, times: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(features, width), nn.Linear(width, out)
        self.block, self.times = mlp(1, 2 * width, nn.Tanh, None, width, width), times

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(self.times):
            x = x + self.block(x) / self.times
        return self.head(x)


class StateSpace(nn.Module):
    """Diagonal linear recurrences between gates, with skips."""

    def __init__(self, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(features, width), nn.Linear(width, out)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.into = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.back = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.decay = nn.ParameterList(nn.Parameter(torch.linspace(0, 4, width)) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, into, back, decay in zip(self.norms, self.into, self.back, self.decay, strict=True):
            value, gate = into(norm(x)).chunk(2, -1)
            keep, state, states = decay.sigmoid(), torch.zeros_like(value[:, 0]), []
            for i in range(x.shape[1]):
                state = keep * state + (1 - keep) * value[:, i]
                states.append(state)
            x = x + back(torch.stack(states, 1) * F.silu(gate))
        return self.head(x[:, -1])


class LinearAttention(nn.Module):
    """Attention without a softmax: (elu(q) + 1) ((elu(k) + 1)ᵀ v), over its sum."""

    def __init__(self, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(features, width), nn.Linear(width, out)
        self.position = nn.Parameter(0.02 * torch.randn(8, width))
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(depth))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) + self.position
        for qkv, out, norm in zip(self.qkv, self.out, self.norms, strict=True):
            q, k, v = qkv(norm(x)).chunk(3, -1)
            q, k = F.elu(q) + 1, F.elu(k) + 1
            x = x + out(q @ (k.transpose(1, 2) @ v) / (q @ k.sum(1)[..., None]))
        return self.head(x.mean(1))


class Bumps(nn.Module):
    """Layers of bumps: W exp(-(x - c)² / 2) + b, with trained centres."""

    def __init__(self, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        sizes = [features] + [width] * depth
        self.centres = nn.ParameterList(nn.Parameter(torch.linspace(-1.5, 1.5, 4)) for _ in sizes[:-1])
        self.layers = nn.ModuleList(nn.Linear(4 * a, width) for a in sizes[:-1])
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        for centres, layer in zip(self.centres, self.layers, strict=True):
            x = layer((-(x[..., None] - centres).square() / 2).exp().flatten(1))
        return self.head(x)


class Branches(nn.Module):
    """Blocks of a 1 x 1, a 3 x 3 and a 5 x 5 convolution and a pool, side by side."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        inner = [1]
        for _ in range(depth):
            inner.append(3 * width + inner[-1])
        self.convs = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(a, width, k, padding=k // 2) for k in (1, 3, 5)) for a in inner[:-1]
        )
        self.head = nn.Linear(inner[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        for convs in self.convs:
            x = torch.cat([*(F.leaky_relu(conv(x)) for conv in convs), F.avg_pool2d(x, 3, 1, 1)], 1)
        return self.head(x.mean((2, 3)))


class Hourglass(nn.Module):
    """Down and up again over digits as images, with a skip at each size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.down = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.middle, self.up = nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.last = nn.Conv2d(2 * width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        top = F.silu(self.first(x.unflatten(1, (1, 8, 8))))
        low = F.silu(self.middle(F.silu(self.down(top))))
        return self.last(torch.cat([top, F.silu(self.up(low))], 1)).flatten(1)


class Waves(nn.Module):
    """Fixed random sines and cosines of the inputs, then an MLP."""

    def __init__(self, count: int, depth: int, width: int, features: int, out: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(features, count) / features**0.5)
        self.body = mlp(depth, width, nn.ReLU, None, 2 * count, out)

    def forward(self, x: Tensor) -> Tensor:
        at = x @ self.frequencies
        return self.body(torch.cat([at.sin(), at.cos()], -1))


class Towers(nn.Module):
    """Two networks read half of the features each; their outputs are multiplied."""

    def __init__(self, width: int, act: Act, features: int, out: int) -> None:
        super().__init__()
        self.half = features // 2
        self.left = mlp(2, width, act, None, self.half, width)
        self.right = mlp(2, width, act, None, features - self.half, width)
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.left(x[:, : self.half]) * self.right(x[:, self.half :]))


def with_weight_norm(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            weight_norm(module)
    return model


_F = fitting
WIRED: tuple[Architecture, ...] = (
    _F("maxout 3x32", "maxout", lambda i, o: Maxout(3, 32, 3, i, o), tasks.digits),
    _F("sets 48", "sets", lambda i, o: Sets(48, i, o), tasks.digit_rows),
    _F("experts 3x24", "experts", lambda i, o: Experts(3, 24, 4, i, o), tasks.digits),
    _F("again 8x40", "shared", lambda i, o: Again(8, 40, i, o), tasks.digits),
    _F("state space 2x32", "state space", lambda i, o: StateSpace(2, 32, i, o), tasks.digit_rows),
    _F("linear attention 3x32", "attention", lambda i, o: LinearAttention(3, 32, i, o), tasks.digit_rows),
    _F("bumps 2x32 curve", "bumps", lambda i, o: Bumps(2, 32, i, o), tasks.curve),
    Architecture("branches 3x6", "branches", lambda: Branches(3, 6), tasks.digit_images),
    Architecture("hourglass 8", "hourglass", lambda: Hourglass(8), tasks.pixels_alike),
    _F("waves 64 3x48 friedman", "waves", lambda i, o: Waves(64, 3, 48, i, o), tasks.friedman),
    _F("towers 48 softplus blobs", "towers", lambda i, o: Towers(48, nn.Softplus, i, o), tasks.blobs),
    _F("weight norm 6x48 relu", "weight norm", lambda i, o: with_weight_norm(mlp(6, 48, nn.ReLU, None, i, o)),
       tasks.digits),
)  # fmt: skip
UNSEEN = (*WIRED, *(drawn(number) for number in range(300, 340)))
