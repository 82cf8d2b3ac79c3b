"""What the engine benchmarks share: the loop a good PyTorch user would write, and the limit set by matrix products."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

Data = tuple[torch.Tensor, torch.Tensor]


def mlp(widths: Sequence[int]) -> Callable[[], nn.Module]:
    """A builder of Linear layers with ReLU between them."""

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return build


def loop_seconds(build: Callable[[], nn.Module], data: Data, batch: int, steps: int, lr: float = 0.01) -> float:
    """Seconds of one step of one run: tensors in memory, no DataLoader, all cores."""
    x, y = data
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)

    def step() -> None:
        index = torch.randint(0, len(x), (batch,))
        optimizer.zero_grad()
        F.cross_entropy(model(x[index]), y[index]).backward()
        optimizer.step()

    for _ in range(20):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def product_seconds(widths: Sequence[int], batch: int, runs: int, repeats: int = 30) -> float:
    """Seconds that the bare products of one run's step take: `torch.bmm` over all runs, forward and backward."""
    total = 0.0
    for place, (fan_in, fan_out) in enumerate(pairwise(widths)):
        h, weight = torch.randn(runs, batch, fan_in), torch.randn(runs, fan_in, fan_out)
        gradient = torch.randn(runs, batch, fan_out)
        products: list[Callable[[], torch.Tensor]] = [
            lambda h=h, w=weight: torch.bmm(h, w),
            lambda h=h, g=gradient: torch.bmm(h.transpose(1, 2), g),
        ]
        if place:
            products.append(lambda g=gradient, w=weight: torch.bmm(g, w.transpose(1, 2)))
        for product in products:
            product()
            start = time.perf_counter()
            for _ in range(repeats):
                product()
            total += (time.perf_counter() - start) / repeats
    return total / runs


def compare_seconds(call: Callable[[int], object], runs: int, steps: int) -> float:
    """Seconds of one run's step in `call(steps)`, everything it does included."""
    start = time.perf_counter()
    call(steps)
    return (time.perf_counter() - start) / (runs * steps)


def paired(measure: Callable[[], dict[str, float]], rounds: int) -> dict[str, list[float]]:
    """Each round measures everything once, so that a ratio compares what ran side by side."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, value in measure().items():
            found.setdefault(name, []).append(value)
    return found


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median over rounds of one time over another of the same round."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def say(found: dict[str, list[float]]) -> None:
    """Print the median times, and what compare is worth beside the loop and the limit."""
    for name, values in found.items():
        print(f"   {name:28s} {1e6 * statistics.median(values):10.0f} us a run's step")
    if "loop" in found:
        print(f"   {median_ratio(found['loop'], found['compare']):.2f} times the loop")
    if "products" in found:
        print(f"   {median_ratio(found['products'], found['compare']):.0%} of the matrix-product limit")
