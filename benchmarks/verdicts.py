"""How often training agrees with `inspect`'s verdict, on starts its rules were tuned on and on starts they were not.

Each case is an architecture, a scheme and an optimizer. `inspect` sees one batch at step zero; then the model trains
for `STEPS` steps and the loss is compared with that of the best constant prediction. The rules' thresholds
were set on the architectures in `TUNED`; those in `HELD_OUT` were run after that.

    python -m benchmarks.verdicts             # the held-out half: about five minutes on two free cores
    python -m benchmarks.verdicts --tuned     # the half that may be tuned on
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import initlab

STEPS = 400
BATCH = 64
LEARNED, STUCK = 0.5, 0.05  # shares of the constant predictor's loss that training removed
OUTCOMES = ("healthy", "slow", "untrainable")

Tensor = torch.Tensor
Data = tuple[Tensor, Tensor]


# ---- tasks: (inputs, targets), each seen as (tokens or images) by the architectures that want them


def digits() -> Data:
    x, y = initlab.data.digits().train
    x = x.reshape(len(x), -1).float()
    return (x - x.mean()) / x.std(), y


def images() -> Data:
    x, y = digits()
    return x.reshape(-1, 1, 8, 8), y


def pixels() -> Data:
    """Digits in [0, 1] as their own targets."""
    x, _ = digits()
    x = (x - x.min()) / (x.max() - x.min())
    return x, x


def rows() -> Data:
    """Digits as eight steps of eight features."""
    x, y = digits()
    return x.reshape(-1, 8, 8), y


def tokens() -> Data:
    """Sequences of 16 tokens from 12; the class is the token that comes after the only marker."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 12, (4096, 16), generator=generator)
    at = torch.randint(0, 15, (4096,), generator=generator)
    x[torch.arange(4096), at] = 12
    return x, x[torch.arange(4096), at + 1]


def curve() -> Data:
    """A smooth regression: 10 inputs, 3 outputs, unit variance."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(4096, 10, generator=generator)
    y = torch.sin(x @ torch.randn(10, 3, generator=generator) / 2) + 0.5 * x[:, :3]
    return x, (y - y.mean(0)) / y.std(0)


# ---- architectures


def mlp(depth: int, width: int, act: Callable[[], nn.Module], norm: Callable[[int], nn.Module] | None = None,
        features: int = 64, out: int = 10) -> nn.Module:  # fmt: skip
    layers: list[nn.Module] = []
    for i in range(depth):
        layers.append(nn.Linear(features if i == 0 else width, width))
        layers += [norm(width)] if norm else []
        layers.append(act())
    return nn.Sequential(*layers, nn.Linear(width, out))


class Residual(nn.Module):
    def __init__(self, depth: int, width: int, act: Callable[[], nn.Module], norm: bool) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width) if norm else nn.Identity(), nn.Linear(width, width), act(),
                          nn.Linear(width, width)) for _ in range(depth))  # fmt: skip
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def cnn(depth: int, act: Callable[[], nn.Module], norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers.append(nn.Conv2d(1 if i == 0 else 16, 16, 3, padding=1))
        layers += [nn.BatchNorm2d(16)] if norm else []
        layers.append(act())
        layers += [nn.MaxPool2d(2)] if i in (1, 3) else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], width: int, layers: int) -> None:
        super().__init__()
        self.rnn = kind(8, width, num_layers=layers, batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class ResidualCNN(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(),
                          nn.Conv2d(12, 12, 3, padding=1), nn.BatchNorm2d(12)) for _ in range(depth))  # fmt: skip
        self.head = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 2)
        for block in self.blocks:
            x = F.relu(x + block(x))
        return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))


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


class Transformer(nn.Module):
    def __init__(self, depth: int, width: int, norm_first: bool) -> None:
        super().__init__()
        self.token = nn.Embedding(13, width)
        self.position = nn.Parameter(torch.zeros(16, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.1, batch_first=True, norm_first=norm_first)
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 13)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.token(x) + self.position).mean(1))


def autoencoder(act: Callable[[], nn.Module]) -> nn.Module:
    sizes = (64, 64, 32, 64, 64)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


Architecture = tuple[str, Callable[[], nn.Module], Callable[[], Data]]

TUNED: list[Architecture] = [
    ("mlp 5 relu", lambda: mlp(5, 100, nn.ReLU), digits),
    ("mlp 5 sigmoid", lambda: mlp(5, 100, nn.Sigmoid), digits),
    ("mlp 5 tanh", lambda: mlp(5, 100, nn.Tanh), digits),
    ("mlp 20 relu", lambda: mlp(20, 64, nn.ReLU), digits),
    ("mlp 20 tanh", lambda: mlp(20, 64, nn.Tanh), digits),
    ("mlp 2 tanh", lambda: mlp(2, 32, nn.Tanh), digits),
    ("residual 8 relu", lambda: Residual(8, 48, nn.ReLU, norm=False), digits),
    ("mlp 5 relu, batch-norm", lambda: mlp(5, 64, nn.ReLU, nn.BatchNorm1d), digits),
    ("mlp 3 relu", lambda: mlp(3, 200, nn.ReLU), digits),
    ("mlp 10 gelu", lambda: mlp(10, 80, nn.GELU), digits),
    ("mlp 8 selu regression", lambda: mlp(8, 50, nn.SELU, features=10, out=3), curve),
    ("mlp 4 softsign regression", lambda: mlp(4, 40, nn.Softsign, features=10, out=3), curve),
    ("mlp 12 elu, layer-norm", lambda: mlp(12, 64, nn.ELU, nn.LayerNorm), digits),
    ("residual 6 gelu, layer-norm", lambda: Residual(6, 48, nn.GELU, norm=True), digits),
    ("cnn 4 relu", lambda: cnn(4, nn.ReLU), images),
    ("cnn 6 silu, batch-norm", lambda: cnn(6, nn.SiLU, norm=True), images),
]
HELD_OUT: list[Architecture] = [
    ("mlp 7 mish", lambda: mlp(7, 64, nn.Mish), digits),
    ("mlp 6 leaky regression", lambda: mlp(6, 64, nn.LeakyReLU, features=10, out=3), curve),
    ("cnn 3 tanh", lambda: cnn(3, nn.Tanh), images),
    ("residual cnn, batch-norm", lambda: ResidualCNN(3), images),
    ("mixer", lambda: Mixer(3, 24), rows),
    ("rnn tanh", lambda: Recurrent(nn.RNN, 48, 1), rows),
    ("lstm 2", lambda: Recurrent(nn.LSTM, 48, 2), rows),
    ("gru 2", lambda: Recurrent(nn.GRU, 48, 2), rows),
    ("transformer 2, pre-norm", lambda: Transformer(2, 32, norm_first=True), tokens),
    ("autoencoder leaky", lambda: autoencoder(nn.LeakyReLU), pixels),
]


# ---- schemes: (name, what to do with each weight of two or more axes); biases become zero


def _each(write: Callable[[Tensor], object]) -> Callable[[nn.Module], None]:
    def apply(model: nn.Module) -> None:
        for p in model.parameters():
            if p.ndim > 1:
                write(p)
        for module in model.modules():
            if getattr(module, "bias", None) is not None and isinstance(module.bias, Tensor):
                nn.init.zeros_(module.bias)

    return apply


def _zero_head(model: nn.Module) -> None:
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


SCHEMES: dict[str, Callable[[nn.Module], None]] = {
    "torch default": lambda model: None,
    "zeros": _each(nn.init.zeros_),
    "constant 0.5": _each(lambda p: nn.init.constant_(p, 0.5)),
    "normal 0.001": _each(lambda p: nn.init.normal_(p, 0, 0.001)),
    "normal 0.01": _each(lambda p: nn.init.normal_(p, 0, 0.01)),
    "normal 1": _each(lambda p: nn.init.normal_(p, 0, 1)),
    "xavier_normal": _each(nn.init.xavier_normal_),
    "he_normal": _each(nn.init.kaiming_normal_),
    "he_normal times 3": _each(lambda p: nn.init.kaiming_normal_(p).mul_(3.0)),
    "orthogonal": _each(nn.init.orthogonal_),
    "zero head": _zero_head,
}
OPTIMIZERS = (("sgd", 0.01), ("adamw", 1e-3))


@dataclass(frozen=True)
class Case:
    """One comparison of a verdict with what training did. `left` is the end loss over the constant predictor's."""

    half: str
    architecture: str
    scheme: str
    optimizer: str
    lr: float
    verdict: str
    steps: float
    findings: tuple[str, ...]
    outcome: str
    left: float


def cases(half: str, architectures: list[Architecture]) -> Iterator[tuple[str, Architecture, str, str, float]]:
    for architecture in architectures:
        for scheme in SCHEMES:
            for optimizer, lr in OPTIMIZERS:
                yield half, architecture, scheme, optimizer, lr


def judge(half: str, architecture: Architecture, scheme: str, optimizer: str, lr: float) -> Case:
    """The verdict on one start, then its training."""
    name, build, task = architecture
    x, y = task()
    model = started(build, scheme)
    loss = F.mse_loss if y.is_floating_point() else F.cross_entropy
    report = initlab.inspect(model, x[:256], y[:256], loss=loss, optimizer=optimizer, lr=lr)
    left = train(model, x, y, loss, optimizer, lr) / constant_loss(y)
    outcome = "untrainable" if not left < 1 - STUCK else "slow" if left > 1 - LEARNED else "healthy"
    found = tuple(f"{f.kind}/{f.severity}" for f in report.findings)
    return Case(half, name, scheme, optimizer, lr, report.verdict, report.steps, found, outcome, left)


def started(build: Callable[[], nn.Module], scheme: str) -> nn.Module:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = build()
        SCHEMES[scheme](model)
    return model


def constant_loss(y: Tensor) -> float:
    """The loss of the best prediction that does not look at its input."""
    if y.is_floating_point():
        return float(y.var(0, correction=0).mean())
    share = torch.bincount(y).double() / len(y)
    return float(-(share[share > 0] * share[share > 0].log()).sum())


def train(
    model: nn.Module, x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor], optimizer: str, lr: float
) -> float:
    """Mean training loss over the last 20 steps; infinite once it is no number."""
    kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
    step = kinds[optimizer](model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(3)
    tail: list[float] = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(STEPS):
            batch = torch.randint(0, len(x), (BATCH,), generator=generator)
            value = loss(model(x[batch]), y[batch])
            if not torch.isfinite(value):
                return math.inf
            step.zero_grad()
            value.backward()
            step.step()
            tail.append(float(value.detach()))
    return sum(tail[-20:]) / 20


def table(title: str, results: list[Case]) -> str:
    """Verdict against outcome, and two shares: the same word, and the same answer to "does it train at all?"."""
    counted = Counter((c.verdict, c.outcome) for c in results)
    lines = [f"{title}: {len(results)} starts", f"{'verdict':>14} | " + " ".join(f"{o:>12}" for o in OUTCOMES)]
    lines += [f"{v:>14} | " + " ".join(f"{counted[v, o]:>12}" for o in OUTCOMES) for v in OUTCOMES]
    same = sum(c.verdict == c.outcome for c in results) / max(1, len(results))
    binary = sum((c.verdict == "untrainable") == (c.outcome == "untrainable") for c in results) / max(1, len(results))
    return "\n".join([*lines, f"same word {same:.1%}; trains or not {binary:.1%}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuned", action="store_true", help="the half that may be tuned on, instead of the other")
    parser.add_argument("--json", type=Path, help="write every case to this file")
    parser.add_argument("--misses", action="store_true", help="print each case where verdict and training differ")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    halves = [("tuned", TUNED)] if asked.tuned else [("held out", HELD_OUT)]
    results = [judge(*case) for half, architectures in halves for case in cases(half, architectures)]
    for half, _ in halves:
        print(table(half, [c for c in results if c.half == half]), end="\n\n")
    for case in results if asked.misses else ():
        if case.verdict != case.outcome:
            print(f"{case.architecture} | {case.scheme} | {case.optimizer}: {case.verdict}, then {case.outcome} "
                  f"(left {case.left:.2f}, steps {case.steps:.3g}, {', '.join(case.findings)})")  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps([asdict(c) for c in results], indent=1))
    print(f"{time.perf_counter() - began:.0f} s, {STEPS} steps a start")


if __name__ == "__main__":
    main()
