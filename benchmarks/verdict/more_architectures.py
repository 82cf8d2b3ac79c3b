"""The second wave of architectures: other depths, functions, tasks and wirings than those of `architectures`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.verdict import tasks
from benchmarks.verdict.layouts import (
    Act,
    Architecture,
    Gated,
    Highway,
    Mixer,
    Recurrent,
    RecurrentLM,
    Residual,
    ResidualCNN,
    Transformer,
    autoencoder,
    cnn,
    fitting,
    mlp,
)
from benchmarks.verdict.tasks import VOCABULARY

Tensor = torch.Tensor


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class PostNorm(nn.Module):
    """x = norm(x + f(x)), on flat features."""

    def __init__(self, depth: int, width: int, act: Act, features: int = 64, out: int = 10) -> None:
        super().__init__()
        self.stem = nn.Linear(features, width)
        self.up = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.act, self.head = act(), nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for up, down, norm in zip(self.up, self.down, self.norms, strict=True):
            x = norm(x + down(self.act(up(x))))
        return self.head(x)


class Dense(nn.Module):
    """Every layer reads all that came before."""

    def __init__(self, depth: int, grow: int, act: Act) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64 + i * grow, grow) for i in range(depth))
        self.act, self.head = act(), nn.Linear(64 + depth * grow, 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, self.act(layer(x))], 1)
        return self.head(x)


class PreActivation(nn.Module):
    """x + conv(act(norm(...))) twice, with or without a learned gate that starts at zero."""

    def __init__(self, depth: int, width: int, gated: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        norm: Callable[[], nn.Module] = nn.Identity if gated else lambda: nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList(
            nn.Sequential(norm(), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=gated),
                          norm(), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)) for _ in range(depth))  # fmt: skip
        self.gates = nn.Parameter(torch.zeros(depth)) if gated else None
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 2)
        for i, block in enumerate(self.blocks):
            x = x + (block(x) if self.gates is None else self.gates[i] * block(x))
        return self.head(F.relu(x).mean((2, 3)))


class Squeezed(nn.Module):
    """Convolutions whose channels are weighed by a small gate network."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(1 if i == 0 else width, width, 3, padding=1) for i in range(depth))
        self.squeeze = nn.ModuleList(nn.Linear(width, 4) for _ in range(depth))
        self.excite = nn.ModuleList(nn.Linear(4, width) for _ in range(depth))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv, squeeze, excite in zip(self.convs, self.squeeze, self.excite, strict=True):
            x = F.silu(conv(x))
            x = x * excite(F.relu(squeeze(x.mean((2, 3))))).sigmoid()[..., None, None]
        return self.head(x.mean((2, 3)))


class Strip(nn.Module):
    """One-dimensional convolutions over the rows of the digits, dilated."""

    def __init__(self, depth: int, width: int, act: Act) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(8 if i == 0 else width, width, 3, padding=2**i, dilation=2**i) for i in range(depth)
        )
        self.act, self.head = act(), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        for conv in self.convs:
            x = self.act(conv(x))
        return self.head(x.mean(2))


class BothWays(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(8, width, batch_first=True, bidirectional=True), nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0].mean(1))


class OwnCell(nn.Module):
    """A gated cell written out: h = z h + (1 - z) tanh(W [x, h])."""

    def __init__(self, width: int, features: int = 8, out: int = 10) -> None:
        super().__init__()
        self.width = width
        self.gate, self.value = (nn.Linear(features + width, width) for _ in range(2))
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), self.width)
        for i in range(x.shape[1]):
            both = torch.cat([x[:, i], h], 1)
            z = self.gate(both).sigmoid()
            h = z * h + (1 - z) * self.value(both).tanh()
        return self.head(h)


class ReluRecurrent(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.rnn = nn.RNN(8, width, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Decoder(nn.Module):
    """Pre-norm by RMS, one projection for queries, keys and values, SwiGLU, tied or own read-out."""

    def __init__(self, depth: int, width: int, tied: bool) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, width)
        self.position = nn.Parameter(0.02 * torch.randn(16, width))
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(2 * depth + 1))
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in range(depth))
        self.out = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        self.up = nn.ModuleList(nn.Linear(width, 4 * width, bias=False) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(2 * width, width, bias=False) for _ in range(depth))
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.token.weight
            nn.init.normal_(self.token.weight, 0, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.token(x) + self.position[: x.shape[1]]
        for i in range(len(self.qkv)):
            q, k, v = (t.unflatten(2, (4, -1)).transpose(1, 2) for t in self.qkv[i](self.norms[2 * i](h)).chunk(3, 2))
            h = h + self.out[i](F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
            value, gate = self.up[i](self.norms[2 * i + 1](h)).chunk(2, 2)
            h = h + self.down[i](F.silu(gate) * value)
        return self.head(self.norms[-1](h))


class Patches(nn.Module):
    """Digits in patches of 2 x 2 with a class token."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, width, 2, 2)
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(17, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.body(x)[:, 0])


class SpatialGate(nn.Module):
    """gMLP: half the channels gate the other half across places; the gate starts near one."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(8, width), nn.Linear(width, 10)
        self.norms, self.inner = (
            nn.ModuleList(nn.LayerNorm(w) for _ in range(depth)) for w in (width, width)
        )  # fmt: skip
        self.up = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.place = nn.ModuleList(nn.Linear(8, 8) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        for place in self.place:
            nn.init.normal_(place.weight, 0, 1e-3)
            nn.init.ones_(place.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, inner, up, place, down in zip(self.norms, self.inner, self.up, self.place, self.down, strict=True):
            u, v = F.gelu(up(norm(x))).chunk(2, -1)
            x = x + down(u * place(inner(v).transpose(1, 2)).transpose(1, 2))
        return self.head(x.mean(1))


class ConvMixer(nn.Module):
    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 2, 2)
        self.deep = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, groups=width) for _ in range(depth))
        self.wide = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(depth))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2 * depth))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.stem(x))
        for i, (deep, wide) in enumerate(zip(self.deep, self.wide, strict=True)):
            x = x + self.norms[2 * i](F.gelu(deep(x)))
            x = self.norms[2 * i + 1](F.gelu(wide(x)))
        return self.head(x.mean((2, 3)))


class Times(nn.Module):
    """sin of a multiple: SIREN's function."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.factor * x)


class Bag(nn.Module):
    """The mean of a sequence's embeddings, then an MLP."""

    def __init__(self, width: int, depth: int, act: Act) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, width)
        self.body = mlp(depth, width, act, None, width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.token(x).mean(1))


class Attended(nn.Module):
    """Sequences of tokens read by one attention layer from a learned query."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, width)
        self.query = nn.Parameter(torch.randn(1, 1, width) / math.sqrt(width))
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.token(x)
        return self.head(self.attention(self.query.expand(len(x), -1, -1), h, h, need_weights=False)[0][:, 0])


def linear_stack(depth: int, width: int) -> nn.Module:
    return mlp(depth, width, nn.Identity)


_A, _F = Architecture, fitting
_BN1, _LN = nn.BatchNorm1d, nn.LayerNorm
MORE: tuple[Architecture, ...] = (
    _F("mlp 1x256 relu blobs", "mlp", lambda i, o: mlp(1, 256, nn.ReLU, features=i, out=o), tasks.blobs),
    _F("mlp 4x24 elu wine", "table", lambda i, o: mlp(4, 24, nn.ELU, features=i, out=o), tasks.wine),
    _A("mlp 6x32 softplus", "mlp", lambda: mlp(6, 32, nn.Softplus), tasks.digits),
    _A("mlp 2x100 hardtanh", "mlp", lambda: mlp(2, 100, nn.Hardtanh), tasks.digits),
    _F("mlp 15x40 relu blobs", "mlp", lambda i, o: mlp(15, 40, nn.ReLU, features=i, out=o), tasks.blobs),
    _A("mlp 10x20 leaky", "mlp", lambda: mlp(10, 20, nn.LeakyReLU), tasks.digits),
    _F("mlp 2x8 relu wine", "table", lambda i, o: mlp(2, 8, nn.ReLU, features=i, out=o), tasks.wine),
    _F("mlp 3x64 silu labels", "labels", lambda i, o: mlp(3, 64, nn.SiLU, features=i, out=o), tasks.labels),
    _F("mlp 6x48 tanh labels", "labels", lambda i, o: mlp(6, 48, nn.Tanh, features=i, out=o), tasks.labels),
    _F("mlp 5x48 tanh friedman", "regression", lambda i, o: mlp(5, 48, nn.Tanh, features=i, out=o), tasks.friedman),
    _F("mlp 3x300 relu friedman", "regression", lambda i, o: mlp(3, 300, nn.ReLU, features=i, out=o), tasks.friedman),
    _F("mlp 4x64 sine 1", "regression", lambda i, o: mlp(4, 64, lambda: Times(1.0), None, i, o), tasks.curve),
    _A("linear 10x64", "mlp", lambda: linear_stack(10, 64), tasks.digits),
    _F("linear 2x32 blobs", "mlp", lambda i, o: mlp(2, 32, nn.Identity, features=i, out=o), tasks.blobs),
    _A("mlp 8x32 gelu rms-norm", "normed mlp", lambda: mlp(8, 32, nn.GELU, RMSNorm), tasks.digits),
    _A("mlp 6x96 sigmoid batch-norm", "normed mlp", lambda: mlp(6, 96, nn.Sigmoid, _BN1), tasks.digits),
    _F("mlp 10x40 sigmoid layer-norm", "normed mlp", lambda i, o: mlp(10, 40, nn.Sigmoid, _LN, i, o), tasks.blobs),
    _F("mlp 4x64 relu layer-norm friedman", "normed mlp", lambda i, o: mlp(4, 64, nn.ReLU, _LN, i, o), tasks.friedman),
    _A("post-norm 6x40 relu", "residual mlp", lambda: PostNorm(6, 40, nn.ReLU), tasks.digits),
    _F("post-norm 3x48 gelu blobs", "residual mlp", lambda i, o: PostNorm(3, 48, nn.GELU, i, o), tasks.blobs),
    _A("residual 12x40 tanh", "residual mlp", lambda: Residual(12, 40, nn.Tanh, norm=False), tasks.digits),
    _A("residual 4x128 silu layer-norm", "residual mlp", lambda: Residual(4, 128, nn.SiLU, norm=True), tasks.digits),
    _A("dense 6x24 relu", "residual mlp", lambda: Dense(6, 24, nn.ReLU), tasks.digits),
    _A("cnn 2x32 relu", "cnn", lambda: cnn(2, 32, nn.ReLU), tasks.digit_images),
    _A("cnn 5x8 leaky", "cnn", lambda: cnn(5, 8, nn.LeakyReLU), tasks.digit_images),
    _A("cnn 6x8 sigmoid batch-norm", "cnn", lambda: cnn(6, 8, nn.Sigmoid, norm=True), tasks.digit_images),
    _A("squeezed 4x16", "cnn", lambda: Squeezed(4, 16), tasks.digit_images, slow=True),
    _A("strip 4x24 relu", "cnn", lambda: Strip(4, 24, nn.ReLU), tasks.digit_rows),
    _A("strip 7x16 tanh", "cnn", lambda: Strip(7, 16, nn.Tanh), tasks.digit_rows),
    _A("pre-activation 3x12", "resnet", lambda: PreActivation(3, 12), tasks.digit_images, slow=True),
    _A("pre-activation 5x8 gate 0", "resnet", lambda: PreActivation(5, 8, gated=True), tasks.digit_images, slow=True),
    _A("resnet 2x16 instance-norm", "resnet", lambda: ResidualCNN(2, 16, lambda w: nn.GroupNorm(w, w)),
       tasks.digit_images),
    _A("rnn relu 40", "recurrent", lambda: ReluRecurrent(40), tasks.digit_rows),
    _A("lstm both ways 24", "recurrent", lambda: BothWays(24), tasks.digit_rows),
    _F("own cell 32", "recurrent", lambda i, o: OwnCell(32, i, o), tasks.digit_rows),
    _F("own cell 40 adding", "recurrent", lambda i, o: OwnCell(40, i, o), tasks.adding),
    _F("lstm 2x40 adding", "recurrent", lambda i, o: Recurrent(nn.LSTM, i, 40, 2, o), tasks.adding),
    _A("gru lm 40", "recurrent", lambda: RecurrentLM(nn.GRU, 40), tasks.chain),
    _A("decoder 2x32", "transformer", lambda: Decoder(2, 32, tied=False), tasks.chain, slow=True),
    _A("decoder 3x32 tied", "transformer", lambda: Decoder(3, 32, tied=True), tasks.chain, slow=True),
    _A("transformer 1x64 pre-norm", "transformer", lambda: Transformer(1, 64, True), tasks.chain, slow=True),
    _A("transformer 4x32 post-norm rows", "transformer", lambda: Transformer(4, 32, False, rows=True),
       tasks.digit_rows, slow=True),
    _A("patches 3x32", "transformer", lambda: Patches(3, 32), tasks.digit_images, slow=True),
    _A("bag 32 relu", "tokens", lambda: Bag(32, 2, nn.ReLU), tasks.recall),
    _A("bag 48 deep tanh", "tokens", lambda: Bag(48, 6, nn.Tanh), tasks.recall),
    _A("attended 32", "tokens", lambda: Attended(32), tasks.recall),
    _A("mixer 2x48", "mixer", lambda: Mixer(2, 48), tasks.digit_rows),
    _A("spatial gate 4x24", "mixer", lambda: SpatialGate(4, 24), tasks.digit_rows),
    _A("conv-mixer 3x16", "mixer", lambda: ConvMixer(3, 16), tasks.digit_images, slow=True),
    _A("geglu 5x40 skip", "gated", lambda: Gated(5, 40, nn.GELU, skip=True), tasks.digits),
    _A("bilinear 3x32", "gated", lambda: Gated(3, 32, nn.Identity), tasks.digits),
    _F("glu 8x32 friedman", "gated", lambda i, o: Gated(8, 32, nn.Sigmoid, i, o, skip=True), tasks.friedman),
    _F("tanh gate 4x40 blobs", "gated", lambda i, o: Gated(4, 40, nn.Tanh, i, o), tasks.blobs),
    _A("highway 5x64", "gated", lambda: Highway(5, 64), tasks.digits),
    _A("autoencoder relu narrow", "autoencoder", lambda: autoencoder((64, 32, 8, 32, 64), nn.ReLU), tasks.pixels),
    _A("autoencoder gelu wide", "autoencoder", lambda: autoencoder((64, 128, 24, 128, 64), nn.GELU), tasks.pixels),
)  # fmt: skip
