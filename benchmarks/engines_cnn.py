"""A CNN (conv 32-64-64, linear 64-10, batch 32, 2,000 images) trained in every way there is, beside the loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from benchmarks._engines import loop_seconds, median_ratio, paired, say
from initlab.training.engines import get_engine
from initlab.training.engines.machine import cores
from initlab.training.task import RunSpec, Task

SIDE, SCHEMES, SEEDS, STEPS, ROUNDS = 28, 2, 3, 24, 3
WAYS = (
    "sequential",
    "sequential:channels_last",
    "stacked:3",
    "processes:sequential",
    "processes:sequential:channels_last",
    "processes:stacked:3",
)


def build() -> nn.Module:
    """Three convolutions with pooling between them, the mean over positions, a linear layer."""
    first = (nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    second = (nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    third = (nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*first, *second, *third, nn.Linear(64, 10))


def convolution_seconds(repeats: int = 5) -> float:
    """Seconds of the bare convolutions of one run's step, forward and backward, on one core, over the cores."""
    backward = torch.ops.aten.convolution_backward
    threads, channels, total = torch.get_num_threads(), (1, 32, 64, 64), 0.0
    torch.set_num_threads(1)
    try:
        for place, (c_in, c_out) in enumerate(pairwise(channels)):
            side = SIDE // 2**place
            layout = {"memory_format": torch.channels_last}
            x, w = torch.randn(32, c_in, side, side).to(**layout), torch.randn(c_out, c_in, 3, 3).to(**layout)
            gradient = torch.randn(32, c_out, side, side).to(**layout)
            rest = ([c_out], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [place > 0, True, True])
            total += _least(lambda x=x, w=w: torch.conv2d(x, w, padding=1), repeats)
            total += _least(lambda g=gradient, x=x, w=w, rest=rest: backward(g, x, w, *rest), repeats)
    finally:
        torch.set_num_threads(threads)
    return total / cores()


def _least(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print what every way takes, and what `auto` chose: never slower than the loop."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2000, 1, SIDE, SIDE, generator=generator), torch.randint(0, 10, (2000,), generator=generator)
    task = Task(build, (x, y), (x[:200], y[:200]), optimizer="sgd", batch_size=32, steps=10**6)
    specs = [RunSpec(f"{s} {i}", "built", None, i, 0.01) for s in range(SCHEMES) for i in range(SEEDS)]
    chosen: list[str] = []

    def seconds(way: str) -> float:
        session = get_engine(way).open(task, specs)
        try:
            session.advance(2)
            start = time.perf_counter()
            session.advance(STEPS)
            chosen.append(session.choice)
            return (time.perf_counter() - start) / (STEPS * len(specs))
        finally:
            session.close()

    def measure() -> dict[str, float]:
        loop = {"loop": loop_seconds(build, (x, y), 32, 2 * STEPS), "convolutions": convolution_seconds()}
        return {**loop, **{way: seconds(way) for way in WAYS}, "compare": seconds("auto")}

    found = paired(measure, ROUNDS)
    say(found)
    for way in WAYS:
        print(f"   {way:36s} {median_ratio(found['loop'], found[way]):.2f} times the loop")
    print(f"   {median_ratio(found['convolutions'], found['compare']):.0%} of the convolution limit")
    print(f"   {chosen[-1]}")


if __name__ == "__main__":
    main()
