"""The architectures of the recorded cells: a name, what kind it is, how it is built, and what it trains on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.verdict import tasks
from benchmarks.verdict.tasks import VOCABULARY, Task

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


_A = Architecture
_BN1, _LN = nn.BatchNorm1d, nn.LayerNorm
ARCHITECTURES: tuple[Architecture, ...] = (
    _A("mlp 1x16 relu", "mlp", lambda: mlp(1, 16, nn.ReLU), tasks.digits),
    _A("mlp 2x32 tanh", "mlp", lambda: mlp(2, 32, nn.Tanh), tasks.digits),
    _A("mlp 3x200 relu", "mlp", lambda: mlp(3, 200, nn.ReLU, features=196), tasks.mnist_flat),
    _A("mlp 3x5 tanh", "mlp", lambda: mlp(3, 5, nn.Tanh), tasks.digits),
    _A("mlp 2x512 gelu", "mlp", lambda: mlp(2, 512, nn.GELU), tasks.digits),
    _A("mlp 5x100 sigmoid", "mlp", lambda: mlp(5, 100, nn.Sigmoid), tasks.digits),
    _A("mlp 2x64 sigmoid", "mlp", lambda: mlp(2, 64, nn.Sigmoid), tasks.digits),
    _A("mlp 8x64 sigmoid", "mlp", lambda: mlp(8, 64, nn.Sigmoid), tasks.digits),
    _A("mlp 20x64 relu", "mlp", lambda: mlp(20, 64, nn.ReLU), tasks.digits),
    _A("mlp 20x64 tanh", "mlp", lambda: mlp(20, 64, nn.Tanh), tasks.digits),
    _A("mlp 10x80 gelu", "mlp", lambda: mlp(10, 80, nn.GELU), tasks.digits),
    _A("mlp 7x64 mish", "mlp", lambda: mlp(7, 64, nn.Mish), tasks.digits),
    _A("mlp 12x48 selu", "mlp", lambda: mlp(12, 48, nn.SELU), tasks.digits),
    _A("mlp 4x64 sine", "mlp", lambda: mlp(4, 64, Sine), tasks.digits),
    _A("mlp 5x64 relu batch-norm", "normed mlp", lambda: mlp(5, 64, nn.ReLU, _BN1), tasks.digits),
    _A("mlp 12x64 elu layer-norm", "normed mlp", lambda: mlp(12, 64, nn.ELU, _LN), tasks.digits),
    _A("mlp 16x64 relu layer-norm", "normed mlp", lambda: mlp(16, 64, nn.ReLU, _LN), tasks.digits),
    _A("mlp 20x48 tanh batch-norm", "normed mlp", lambda: mlp(20, 48, nn.Tanh, _BN1), tasks.digits, slow=True),
    _A("mlp 3x64 relu cancer", "table", lambda: mlp(3, 64, nn.ReLU, features=30, out=2), tasks.cancer),
    _A("mlp 2x16 tanh diabetes", "table", lambda: mlp(2, 16, nn.Tanh, features=10, out=1), tasks.diabetes),
    _A("mlp 4x32 relu batch-norm cancer", "table", lambda: mlp(4, 32, nn.ReLU, _BN1, 30, 2), tasks.cancer),
    _A("mlp 8x50 selu curve", "regression", lambda: mlp(8, 50, nn.SELU, features=10, out=3), tasks.curve),
    _A("mlp 4x40 softsign curve", "regression", lambda: mlp(4, 40, nn.Softsign, features=10, out=3), tasks.curve),
    _A("mlp 6x64 leaky curve", "regression", lambda: mlp(6, 64, nn.LeakyReLU, features=10, out=3), tasks.curve),
    _A("mlp 3x128 silu layer-norm curve", "regression", lambda: mlp(3, 128, nn.SiLU, _LN, 10, 3), tasks.curve),
    _A("residual 8x48 relu", "residual mlp", lambda: Residual(8, 48, nn.ReLU, norm=False), tasks.digits),
    _A("residual 6x48 gelu layer-norm", "residual mlp", lambda: Residual(6, 48, nn.GELU, norm=True), tasks.digits),
    _A("residual 24x32 relu", "residual mlp", lambda: Residual(24, 32, nn.ReLU, norm=False), tasks.digits, slow=True),
    _A("residual 8x48 layer-scale", "residual mlp", lambda: Residual(8, 48, nn.GELU, True, 1e-4), tasks.digits),
    _A("residual 6x48 gate 0", "residual mlp", lambda: Residual(6, 48, nn.ReLU, False, 0.0), tasks.digits),
    _A("cnn 3x8 tanh", "cnn", lambda: cnn(3, 8, nn.Tanh), tasks.digit_images),
    _A("cnn 4x16 relu", "cnn", lambda: cnn(4, 16, nn.ReLU), tasks.digit_images),
    _A("cnn 4x12 relu mnist", "cnn", lambda: cnn(4, 12, nn.ReLU), tasks.mnist, slow=True),
    _A("cnn 8x12 elu", "cnn", lambda: cnn(8, 12, nn.ELU), tasks.digit_images, slow=True),
    _A("cnn 6x16 silu batch-norm", "cnn", lambda: cnn(6, 16, nn.SiLU, norm=True), tasks.digit_images, slow=True),
    _A("depthwise 4x24", "cnn", lambda: Depthwise(4, 24), tasks.mnist, slow=True),
    _A("resnet 3x12 batch-norm", "resnet", lambda: ResidualCNN(3, 12, nn.BatchNorm2d), tasks.digit_images),
    _A("resnet 8x8 batch-norm", "resnet", lambda: ResidualCNN(8, 8, nn.BatchNorm2d), tasks.digit_images, slow=True),
    _A(
        "resnet 3x12 group-norm",
        "resnet",
        lambda: ResidualCNN(3, 12, lambda w: nn.GroupNorm(4, w)),
        tasks.mnist,
        slow=True,
    ),
    _A(
        "resnet 4x12 no norm",
        "resnet",
        lambda: ResidualCNN(4, 12, lambda w: nn.Identity()),
        tasks.digit_images,
        slow=True,
    ),
    _A("rnn 48", "recurrent", lambda: Recurrent(nn.RNN, 8, 48, 1, 10), tasks.digit_rows),
    _A("lstm 48", "recurrent", lambda: Recurrent(nn.LSTM, 8, 48, 1, 10), tasks.digit_rows),
    _A("gru 2x48", "recurrent", lambda: Recurrent(nn.GRU, 8, 48, 2, 10), tasks.digit_rows),
    _A("gru 32 adding", "recurrent", lambda: Recurrent(nn.GRU, 2, 32, 1, 1), tasks.adding),
    _A("lstm lm 48", "recurrent", lambda: RecurrentLM(nn.LSTM, 48), tasks.chain),
    _A("rnn lm 64", "recurrent", lambda: RecurrentLM(nn.RNN, 64), tasks.chain),
    _A("transformer 2x32 pre-norm", "transformer", lambda: Transformer(2, 32, True), tasks.chain, slow=True),
    _A(
        "transformer 4x32 pre-norm dropout",
        "transformer",
        lambda: Transformer(4, 32, True, 0.1),
        tasks.chain,
        slow=True,
    ),
    _A("transformer 2x48 post-norm", "transformer", lambda: Transformer(2, 48, False), tasks.chain, slow=True),
    _A(
        "transformer 3x32 rows", "transformer", lambda: Transformer(3, 32, True, rows=True), tasks.digit_rows, slow=True
    ),
    _A("mixer 3x24", "mixer", lambda: Mixer(3, 24), tasks.digit_rows),
    _A("mixer 6x16", "mixer", lambda: Mixer(6, 16), tasks.digit_rows, slow=True),
    _A("glu 3x48", "gated", lambda: Gated(3, 48, nn.Sigmoid), tasks.digits),
    _A("swiglu 4x48 skip", "gated", lambda: Gated(4, 48, nn.SiLU, skip=True), tasks.digits),
    _A("swiglu 3x64 curve", "gated", lambda: Gated(3, 64, nn.SiLU, 10, 3), tasks.curve),
    _A("highway 10x48", "gated", lambda: Highway(10, 48), tasks.digits),
    _A("highway 30x32", "gated", lambda: Highway(30, 32), tasks.digits, slow=True),
    _A("autoencoder leaky", "autoencoder", lambda: autoencoder((64, 64, 32, 64, 64), nn.LeakyReLU), tasks.pixels),
    _A(
        "autoencoder tanh deep", "autoencoder", lambda: autoencoder((64, 48, 32, 16, 32, 48, 64), nn.Tanh), tasks.pixels
    ),
    _A("autoencoder conv", "autoencoder", lambda: ConvAutoencoder(12), tasks.pixels_alike, slow=True),
)
BY_NAME = {a.name: a for a in ARCHITECTURES}
