"""How the networks of the recorded cells are laid out: each builds one from its depth, width and functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.verdict.tasks import VOCABULARY, Task, sizes_of

Tensor = torch.Tensor
Act = Callable[[], nn.Module]


@dataclass(frozen=True)
class Architecture:
    """One network and its task; `kind` groups those that are alike; one that is slow to train is drawn less often."""

    name: str
    kind: str
    build: Callable[[], nn.Module]
    task: Callable[[], Task]
    slow: bool = False


def fitting(
    name: str, kind: str, layout: Callable[[int, int], nn.Module], task: Callable[[], Task], slow: bool = False
) -> Architecture:
    """One that takes the task's features and gives its outputs: `layout` builds it from both."""
    return Architecture(name, kind, lambda: layout(*sizes_of(task)), task, slow)


def mlp(
    depth: int, width: int, act: Act, norm: Callable[[int], nn.Module] | None = None, features: int = 64, out: int = 10
) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers.append(nn.Linear(features if i == 0 else width, width))
        layers += [norm(width)] if norm else []
        layers.append(act())
    return nn.Sequential(*layers, nn.Linear(width, out))


def cnn(depth: int, width: int, act: Act, norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers.append(nn.Conv2d(1 if i == 0 else width, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers.append(act())
        layers += [nn.MaxPool2d(2)] if i in (0, 2) else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 10))


class Depthwise(nn.Module):
    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1, stride=2)
        parts = ((3, width), (1, 1)) * depth  # kernel, groups
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, k, padding=k // 2, groups=g), nn.BatchNorm2d(width), nn.ReLU6())
            for k, g in parts
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class Residual(nn.Module):
    def __init__(self, depth: int, width: int, act: Act, norm: bool, scale: float | None = None) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width) if norm else nn.Identity(), nn.Linear(width, width), act(),
                          nn.Linear(width, width)) for _ in range(depth))  # fmt: skip
        self.scales = None if scale is None else nn.Parameter(torch.full((depth, width), scale))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            x = x + (block(x) if self.scales is None else self.scales[i] * block(x))
        return self.head(x)


class ResidualCNN(nn.Module):
    def __init__(self, depth: int, width: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), norm(width), nn.ReLU(),
                          nn.Conv2d(width, width, 3, padding=1), norm(width)) for _ in range(depth))  # fmt: skip
        self.head = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 2)
        for block in self.blocks:
            x = F.relu(x + block(x))
        return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], features: int, width: int, layers: int, out: int) -> None:
        super().__init__()
        self.rnn = kind(features, width, num_layers=layers, batch_first=True)
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class RecurrentLM(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], width: int) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, width)
        self.rnn = kind(width, width, batch_first=True)
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.token(x))[0])


class Transformer(nn.Module):
    """Tokens in, the next token out (causal), or rows of features in, one class out."""

    def __init__(self, depth: int, width: int, norm_first: bool, dropout: float = 0.0, rows: bool = False) -> None:
        super().__init__()
        self.token = nn.Linear(8, width) if rows else nn.Embedding(VOCABULARY, width)
        self.position = nn.Parameter(torch.zeros(16, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=norm_first)
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10 if rows else VOCABULARY)
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        mask = None if self.rows else torch.full((length, length), float("-inf")).triu(1)
        hidden = self.body(self.token(x) + self.position[:length], mask=mask)
        return self.head(hidden.mean(1) if self.rows else hidden)


class Mixer(nn.Module):
    """Tokens mixed across places, then across channels, with layer-norm and skips."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Linear(8, width)
        self.places = nn.ModuleList(nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)) for _ in range(depth))
        self.channels = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(depth)
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for places, channels in zip(self.places, self.channels, strict=True):
            x = x + places(x.transpose(1, 2)).transpose(1, 2)
            x = x + channels(x)
        return self.head(x.mean(1))


class Gated(nn.Module):
    """A stack of value times gate: the gate's function is `act` (sigmoid: GLU, silu: SwiGLU)."""

    def __init__(self, depth: int, width: int, act: Act, features: int = 64, out: int = 10, skip: bool = False) -> None:
        super().__init__()
        sizes = [features] + [width] * depth
        self.layers = nn.ModuleList(nn.Linear(a, 2 * b) for a, b in itertools.pairwise(sizes))
        self.act, self.skip = act(), skip
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            value, gate = layer(x).chunk(2, -1)
            y = value * self.act(gate)
            x = x + y if self.skip and x.shape == y.shape else y
        return self.head(x)


class Highway(nn.Module):
    """Srivastava, Greff & Schmidhuber 2015: x = t h + (1 - t) x, with the carry bias at -2."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.gate = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        for gate in self.gate:
            nn.init.constant_(gate.bias, -2.0)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for hidden, gate in zip(self.hidden, self.gate, strict=True):
            t = gate(x).sigmoid()
            x = t * hidden(x).tanh() + (1 - t) * x
        return self.head(x)


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(5 * x)


def autoencoder(sizes: tuple[int, ...], act: Act) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


class ConvAutoencoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        pair = [nn.Conv2d(a, width, 3, stride=2, padding=1) for a in (1, width)]
        back = [nn.ConvTranspose2d(width, b, 2, stride=2) for b in (width, 1)]
        self.down = nn.Sequential(pair[0], nn.ReLU(), pair[1], nn.ReLU())
        self.up = nn.Sequential(back[0], nn.ReLU(), back[1])

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x.reshape(-1, 1, 8, 8))).flatten(1)
