"""Deep plain stacks on the digits: train accuracy after 500 steps by depth, activation and start; resumable.

`python -m benchmarks stacks`, or `python -m benchmarks.stacks START DEPTH,… [ACTIVATION,…]` for a part. A cell is
the best of SGD and Adam over three rates each, width 128, batches of 128, and ends early above 0.9. Lines go to
benchmarks/stacks.jsonl; cells that are there are not run again.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import initlab
from benchmarks._lines import Lines

KEPT = Path(__file__).with_name("stacks.jsonl")
WIDTH, BATCH, STEPS, ENOUGH = 128, 128, 500, 0.9
DEPTHS = (10, 50, 100, 300)
RATES = (("adam", 1e-4), ("sgd", 1e-2), ("adam", 1e-3), ("sgd", 1e-1), ("sgd", 1e-3), ("adam", 1e-5))
SMALLEST = 300  # layers beyond which the smallest rates are tried first
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hardswish": F.hardswish,
    "sin": torch.sin,
}


class Plain(nn.Module):
    """`depth` layers of one activation, and a read-out."""

    def __init__(self, depth: int, activation: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(WIDTH if i else 64, WIDTH) for i in range(depth)])
        self.head, self.activation = nn.Linear(WIDTH, 10), activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = ACTIVATIONS[self.activation](layer(x))
        return self.head(x)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    data, labels = load_digits(return_X_y=True)
    x = torch.tensor(data, dtype=torch.float32)
    return (x - x.mean()) / x.std(), torch.tensor(labels)


def accuracy(depth: int, activation: str, start: str, optimizer: str, rate: float) -> float:
    """Train accuracy at the end of one training; what was reached when the loss stopped being finite."""
    x, y = digits()
    torch.manual_seed(0)
    net = Plain(depth, activation)
    if start == "anyinit":  # of the package index, 0.4.0, by its measuring mode
        import_module("anyinit").initialize(net, "empirical", x[:256])
    elif start != "own":
        initlab.init_(net, start, example_inputs=x[:256])
    made = torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam
    steps, reached = made(net.parameters(), lr=rate), 0.0
    for step in range(STEPS):
        rows = torch.randint(0, len(x), (BATCH,))
        loss = F.cross_entropy(net(x[rows]), y[rows])
        if not math.isfinite(loss.item()):
            return reached
        steps.zero_grad()
        loss.backward()
        steps.step()
        if step % 50 == 49:
            with torch.no_grad():
                reached = (net(x).argmax(1) == y).float().mean().item()
            if reached > ENOUGH:
                break
    return reached


def cell(depth: int, activation: str, start: str) -> dict[str, Any]:
    """The best of the rates, tried until one is enough."""
    began, best = time.perf_counter(), ("", 0.0, 0.0)
    for optimizer, rate in RATES if depth <= SMALLEST else RATES[::-1]:
        found = accuracy(depth, activation, start, optimizer, rate)
        best = max(best, (optimizer, rate, found), key=lambda item: item[2])
        if found > ENOUGH:
            break
    return {
        "depth": depth, "activation": activation, "start": start, "accuracy": round(best[2], 4),
        "optimizer": best[0], "rate": best[1], "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def run(lines: Lines, starts: list[str], depths: list[int], activations: list[str]) -> None:
    torch.set_num_threads(1)
    for start, depth, activation in product(starts, depths, activations):
        if not lines.has(depth, activation, start):
            lines.add(cell(depth, activation, start))


def table(lines: Lines) -> None:
    """Cells above 0.8, by start and depth, and those that are not."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for line in lines.kept:
        groups.setdefault((line["start"], line["depth"]), []).append(line)
    for (start, depth), own in sorted(groups.items()):
        low = [f"{line['activation']} {line['accuracy']}" for line in own if line["accuracy"] <= 0.8]
        print(f"{start:14} depth {depth:4}: {len(own) - len(low)} of {len(own)} above 0.8  {', '.join(low)}")


def main() -> None:
    lines = Lines(KEPT, "depth", "activation", "start")
    some = sys.argv[1:] if __name__ == "__main__" else []
    starts = some[0].split(",") if some else ["auto"]
    depths = [int(depth) for depth in some[1].split(",")] if len(some) > 1 else list(DEPTHS)
    run(lines, starts, depths, some[2].split(",") if len(some) > 2 else list(ACTIVATIONS))
    table(lines)


if __name__ == "__main__":
    main()
