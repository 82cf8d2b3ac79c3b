"""Architectures of every kind train in every engine as in the plain loop, or are refused with the reason."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from initlab.errors import InputError
from initlab.rng import random_states_kept
from initlab.training.batches import orders
from initlab.training.engines import get_engine
from initlab.training.engines.runs import forward_seed, make_model
from initlab.training.task import RunSpec, Task

STEPS, CLASSES = 12, 4


class Residual(nn.Module):
    """Two convolutions with batch norm around a sum, as in ResNet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.norms[0](self.one(x)), inplace=True)
        return F.relu(x + self.norms[1](self.two(h)))


def resnet() -> nn.Module:
    stem = (nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2))
    return nn.Sequential(*stem, Residual(4), Residual(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES))


def depthwise() -> nn.Module:
    body = (nn.Conv2d(2, 6, 3, stride=2, padding=1), nn.Hardswish(), nn.Conv2d(6, 6, 3, padding=1, groups=6))
    return nn.Sequential(
        *body, nn.GroupNorm(2, 6), nn.ReLU6(), nn.Conv2d(6, 8, 1), nn.Flatten(), nn.Linear(128, CLASSES)
    )


class ViT(nn.Module):
    """Patches, a class token, positions, one encoder layer written with multi-head attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(2, 8, 4, stride=4)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(0.02 * torch.randn(1, 5, 8))
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 8))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.patches(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(len(h), -1, -1), h], 1) + self.positions
        n = self.norm(h)
        h = h + self.attention(n, n, n, need_weights=False)[0]
        return self.head((h + self.mlp(h))[:, 0])


class Mixer(nn.Module):
    """An MLP over positions and one over channels, each around a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(2, 8, 2, stride=2)
        self.tokens, self.channels = nn.Linear(16, 16), nn.Linear(8, 8)
        self.norms, self.head = nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8)]), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x).flatten(2).transpose(1, 2)
        h = h + F.gelu(self.tokens(self.norms[0](h).transpose(1, 2))).transpose(1, 2)
        h = h + F.gelu(self.channels(self.norms[1](h)))
        return self.head(h.mean(1))


class UNet(nn.Module):
    """Down, up by a transposed convolution, a skip joined by concatenation; one class a pixel, then their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = F.leaky_relu(self.down(x))
        deep = F.leaky_relu(self.deep(F.avg_pool2d(skip, 2)))
        return self.out(torch.cat([skip, self.up(deep)], 1)).mean((2, 3))


class Recurrent(nn.Module):
    """A recurrent layer over the rows of an image."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cell, self.head = kind(16, 6, batch_first=True), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x.transpose(1, 2).flatten(2))[0][:, -1])


class Autoencoder(nn.Module):
    """The decoder's weight is the encoder's, transposed; answers with a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(128, 6), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        h = torch.tanh(self.encoder(x.flatten(1)))
        return {"classes": self.head(h), "image": F.linear(h, self.encoder.weight.t())}


class TwoHeads(nn.Module):
    """Answers with a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.heads = nn.Linear(128, 6), nn.ModuleList([nn.Linear(6, CLASSES), nn.Linear(6, CLASSES)])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        h = F.elu(self.body(x.flatten(1)))
        return tuple(head(h) for head in self.heads)


class Branches(nn.Module):
    """Python looks at the data to choose a way."""

    def __init__(self) -> None:
        super().__init__()
        self.ways, self.head = nn.ModuleList([nn.Linear(128, 6), nn.Linear(128, 6)]), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.ways[0](x.flatten(1))
        if h.mean() > 0:
            h = self.ways[1](x.flatten(1))
        return self.head(torch.relu(h))


class Counting(nn.Module):
    """Buffers that it writes itself: a running mean of its inputs in place, a count by assignment."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(128, CLASSES)
        self.register_buffer("mean", torch.zeros(128))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.flatten(1)
        if self.training:
            self.mean.mul_(0.9).add_(h.mean(0), alpha=0.1)
            self.seen = self.seen + 1
        return self.body(h - self.mean) / (1 + 0.01 * self.seen)


class Late(nn.Module):
    """Makes its parameters in the first forward pass, as lazy modules do."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.LazyLinear(6), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.body(x.flatten(1))))


class Tokens(nn.Module):
    """Token embeddings, an encoder layer of torch's own with dropout, the embedding's weight at the end again."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(CLASSES, 8), nn.Linear(8, CLASSES, bias=False)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.head.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embed(x)).mean(1))


class Counts(nn.Module):
    """Counts its steps in an attribute of python, and divides by the count."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.seen = nn.Linear(128, CLASSES), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += self.training
        return self.body(x.flatten(1)) / (1 + 0.1 * self.seen)


class Remembers(nn.Module):
    """Keeps a tensor from one step to the next outside of its buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.before = nn.Linear(128, CLASSES), 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.body(x.flatten(1)) + self.before
        if self.training:
            self.before = 0.5 * h.detach().mean(0)
        return h


class Looks(nn.Module):
    """Looks at numbers, in evaluation only."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(128, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.body(x.flatten(1)))
        return h if self.training else h / h.abs().max().item()


class Chance(nn.Module):
    """Skips a layer by python's own random numbers, and adds numpy's."""

    def __init__(self) -> None:
        super().__init__()
        self.ways, self.head = nn.ModuleList([nn.Linear(128, 6), nn.Linear(128, 6)]), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        way = self.training and random.random() < 0.5
        return self.head(torch.relu(self.ways[way](x.flatten(1))) + self.training * np.random.uniform())


def hooked() -> nn.Module:
    """A parameter whose gradient is halved on its way."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 8), nn.Tanh(), nn.Linear(8, CLASSES))
    model[1].weight.register_hook(lambda gradient: 0.5 * gradient)
    return model


def padded() -> nn.Module:
    """An embedding with a row that is never trained."""
    return nn.Sequential(nn.Embedding(CLASSES, 8, padding_idx=1), nn.Flatten(), nn.Linear(48, CLASSES))


class Attention(nn.Module):
    """Causal attention written out, with dropout on its weights; grouped queries."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(16, 8), nn.Linear(8, CLASSES)
        self.query, self.pairs = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x.transpose(1, 2).flatten(2))
        query = self.query(h).unflatten(2, (4, 2)).transpose(1, 2)
        key, value = (part.unflatten(2, (2, 2)).transpose(1, 2) for part in self.pairs(h).chunk(2, 2))
        drop = 0.25 if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=drop, is_causal=True, enable_gqa=True)
        return self.head((h + mixed.transpose(1, 2).flatten(2)).mean(1))


def normalised(kind: Callable[[nn.Module], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(
        nn.Flatten(), kind(nn.Linear(128, 8)), nn.Tanh(), kind(nn.Linear(8, CLASSES, bias=False))
    )


def dictionary_loss(output: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output["classes"], target) + 0.1 * output["image"].square().mean()


def tuple_loss(output: tuple[torch.Tensor, ...], target: torch.Tensor) -> torch.Tensor:
    return sum(F.cross_entropy(one, target, label_smoothing=0.1) for one in output)


def huber(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.huber_loss(output, F.one_hot(target, CLASSES).to(output))


# name -> (build, loss, why stacking is refused: a part of the message, or "" where runs stack).
KINDS: dict[str, tuple[Callable[[], nn.Module], object, str]] = {
    "resnet": (resnet, "auto", ""),
    "depthwise": (depthwise, "auto", ""),
    "vit": (ViT, "auto", ""),
    "mixer": (Mixer, "auto", ""),
    "unet": (UNet, huber, ""),
    "lstm": (lambda: Recurrent(nn.LSTM), "auto", "aten::lstm"),
    "gru": (lambda: Recurrent(nn.GRU), "auto", "aten::gru"),
    "rnn": (lambda: Recurrent(nn.RNN), "auto", "aten::rnn_tanh"),
    "dictionary": (Autoencoder, dictionary_loss, ""),
    "tuple": (TwoHeads, tuple_loss, ""),
    "branches": (Branches, "auto", "data-dependent control flow"),
    "buffers": (Counting, "auto", ""),
    "late": (Late, "auto", "first forward pass makes parameters"),
    "attention": (Attention, "auto", ""),
    "tokens": (Tokens, "auto", ""),
    "padding": (padded, "auto", "gradient of '0.weight' differs"),
    "dropout1d": (
        lambda: nn.Sequential(nn.Flatten(2), nn.Dropout1d(0.3), nn.Flatten(), nn.Linear(128, CLASSES)),
        "auto",
        "",
    ),
    "counts": (Counts, "auto", "changes the attribute 'seen'"),
    "remembers": (Remembers, "auto", "depends on earlier ones"),
    "looks": (Looks, "auto", r"calling \.item\(\)"),
    "chance": (Chance, "auto", "random numbers other than dropout's"),
    "hook": (hooked, "auto", "gradient of '1.weight' differs"),
    "weight_norm": (normalised(parametrizations.weight_norm), "auto", ""),
    "spectral_norm": (normalised(parametrizations.spectral_norm), "auto", "aten::div.out"),
    "orthogonal": (normalised(parametrizations.orthogonal), "auto", ""),
}
OPTIMIZERS = {"sgd": ("sgd", {"momentum": 0.9, "nesterov": True}), "adamw": ("adamw", {"betas": (0.8, 0.99)})}
TORCH = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
SPECS = [
    RunSpec(f"{seed} {lr}", "built", None, seed, lr, decay)
    for seed in (0, 1)
    for lr, decay in ((0.01, 0.1), (0.003, 0))
]


def task_of(name: str, optimizer: str, dtype: torch.dtype = torch.float64, **rest) -> Task:
    build, loss, _ = KINDS[name]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(70, 2, 8, 8, generator=generator, dtype=torch.float64)
    y = torch.randint(0, CLASSES, (70,), generator=generator)
    if name in ("tokens", "padding"):
        x = torch.randint(0, CLASSES, (70, 6), generator=generator)
    kind, options = OPTIMIZERS[optimizer]
    return Task(build, (x, y), (x[:20], y[:20]), loss=loss, optimizer=kind, options=options, batch_size=16, steps=STEPS,
                drop_last=False, dtype=dtype, **rest)  # fmt: skip


def alone(task: Task, spec: RunSpec) -> tuple[list[float], float]:
    """(losses, test loss) of the loop that anyone would write with torch.optim."""
    x, y = task.train
    x = x.to(task.dtype) if x.is_floating_point() else x
    loss_fn = task.loss if callable(task.loss) else F.cross_entropy
    model = make_model(task, spec)
    order = next(iter(orders(task, [spec], len(x)).values()))
    losses = []
    with random_states_kept(forward_seed(task, spec)):
        if any(isinstance(p, nn.UninitializedParameter) for p in model.parameters()):
            model(x[:1])
        optimizer = TORCH[task.optimizer](
            model.parameters(), lr=spec.lr, weight_decay=spec.weight_decay, **task.options
        )
        for step in range(task.steps):
            optimizer.zero_grad()
            loss = loss_fn(model(x[order.batch(step)]), y[order.batch(step)])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    x, y = task.test
    with torch.no_grad():
        return losses, float(loss_fn(model.eval()(x.to(task.dtype) if x.is_floating_point() else x), y))


def trained(engine: str, task: Task) -> dict[str, tuple[np.ndarray, float]]:
    session = get_engine(engine).open(task, SPECS)
    try:
        progress, scores = session.advance(STEPS), session.evaluate("test")
        return {key: (one.losses, scores[key][0]) for key, one in progress.items()}
    finally:
        session.close()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("error:There is a performance drop")
def test_every_architecture_trains_as_in_the_plain_loop(
    name: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("initlab.training.engines.auto.SHORT", 0.0)  # `auto` measures, however short the study
    task, refused = task_of(name, optimizer), KINDS[name][2]
    expected = {spec.key: alone(task, spec) for spec in SPECS}
    # Workers time every way on the runs that they then train.
    engines = ["sequential", "auto", "processes" if refused else "stacked:3"]
    for engine in engines:
        for key, (losses, score) in trained(engine, task).items():
            np.testing.assert_allclose(losses, expected[key][0], rtol=1e-8, err_msg=f"{engine} {key}")
            assert score == pytest.approx(expected[key][1], rel=1e-7)
    if refused:
        with pytest.raises(InputError, match=refused):
            get_engine("stacked:3").open(task, SPECS)
