"""What `initlab.inspect` costs beside a bare forward and backward pass, on feed-forward stacks and a transformer.

The two are interleaved, round by round; the figure is the median of the paired ratios of processor time, which other
programs on the machine disturb less than wall time. Goals: at most 1.3 without the
line probe, which adds five forward passes, with Adam, and a copy of the weights.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

import initlab

WIDTH, BATCH, BLOCKS, ROUNDS = 768, 512, 12, 15
LAYERS, VOCABULARY, TEXT = 6, 1000, (16, 64)


def stack(blocks: int, expand: int) -> nn.Module:
    """`blocks` of Linear, ReLU, Linear with the inner width `expand` times the outer; one Linear when it is 1."""
    layers: list[nn.Module] = []
    for _ in range(blocks):
        layers += [nn.Linear(WIDTH, expand * WIDTH), nn.ReLU()]
        layers += [nn.Linear(expand * WIDTH, WIDTH)] if expand > 1 else []
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


class Transformer(nn.Module):
    """A language model of `LAYERS` pre-norm layers; logits and targets flattened over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, 256)
        layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(256, VOCABULARY)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.layers(self.tokens(x))).flatten(0, 1)
        return logits


def bare(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    """Leaves no gradients behind: beside a second set of them `inspect` would need memory that is new each time."""
    F.cross_entropy(model(x), y).backward()
    for parameter in model.parameters():
        parameter.grad = None


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(name: str, model: nn.Module, x: torch.Tensor, y: torch.Tensor, probe: bool) -> float:
    plain: Callable[[], object] = lambda: bare(model, x, y)  # noqa: E731
    ours: Callable[[], object] = lambda: initlab.inspect(model, x, y, loss=F.cross_entropy, line_probe=probe)  # noqa: E731
    for work in (plain, ours, plain, ours):
        work()
    pairs = [(seconds(plain), seconds(ours)) for _ in range(ROUNDS)]
    ratio = statistics.median(b / a for a, b in pairs)
    base, cost = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    print(f"{name:44} bare {base:7.1f} ms  inspect {cost:7.1f} ms  ratio {ratio:.2f}")
    return ratio


def main() -> None:
    print(f"{torch.get_num_threads()} threads, batch {BATCH}, median of {ROUNDS} pairs")
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn(BATCH, WIDTH, generator=draws), torch.randint(0, 10, (BATCH,), generator=draws)
    text = torch.randint(0, VOCABULARY, TEXT, generator=draws)
    following = torch.randint(0, VOCABULARY, (text.numel(),), generator=draws)
    for probe in (False, True):
        end = "with line" if probe else "without"
        measure(f"{BLOCKS} x (Linear {WIDTH}, ReLU) {end}", stack(BLOCKS, 1), x, y, probe)
        measure(f"{BLOCKS} x (Linear {WIDTH}-{4 * WIDTH}, ReLU, Linear) {end}", stack(BLOCKS, 4), x, y, probe)
        measure(f"transformer of {LAYERS} layers {end}", Transformer(), text, following, probe)


if __name__ == "__main__":
    main()
