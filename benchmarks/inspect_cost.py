"""What `initlab.inspect` costs beside a bare forward and backward pass, in time and memory, on a feed-forward stack.

The two are interleaved, round by round; the figure is the median of the paired ratios. Goals: at most 1.3 without the
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


def stack(blocks: int, expand: int) -> nn.Module:
    """`blocks` of Linear, ReLU, Linear with the inner width `expand` times the outer; one Linear when it is 1."""
    layers: list[nn.Module] = []
    for _ in range(blocks):
        layers += [nn.Linear(WIDTH, expand * WIDTH), nn.ReLU()]
        layers += [nn.Linear(expand * WIDTH, WIDTH)] if expand > 1 else []
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


def bare(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    for parameter in model.parameters():
        parameter.grad = None
    F.cross_entropy(model(x), y).backward()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(name: str, model: nn.Module, probe: bool) -> float:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, WIDTH, generator=generator)
    y = torch.randint(0, 10, (BATCH,), generator=generator)
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
    for probe in (False, True):
        with_or_without = "with line" if probe else "without"
        measure(f"{BLOCKS} x (Linear {WIDTH}, ReLU) {with_or_without}", stack(BLOCKS, 1), probe)
        name = f"{BLOCKS} x (Linear {WIDTH}-{4 * WIDTH}, ReLU, Linear) {with_or_without}"
        measure(name, stack(BLOCKS, 4), probe)


if __name__ == "__main__":
    main()
