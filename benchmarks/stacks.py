"""Deep plain stacks on the digits: train accuracy after 500 steps by depth, activation and start; resumable.

`python -m benchmarks stacks`, or `python benchmarks/stacks.py START DEPTH,… [ACTIVATION,…]` for a part. A cell is
the best of SGD and Adam over three rates each, width 128, batches of 128, and ends early above 0.9. Lines go to
benchmarks/stacks.jsonl; cells that are there are not run again.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import initlab

KEPT = Path(__file__).with_name("stacks.jsonl")
WIDTH, BATCH, STEPS, ENOUGH = 128, 128, 500, 0.9
DEPTHS = (10, 50, 100, 300)
RATES = (("adam", 1e-4), ("sgd", 1e-2), ("adam", 1e-3), ("sgd", 1e-1), ("sgd", 1e-3), ("adam", 1e-5))
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
    if start != "own":
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


def cell(depth: int, activation: str, start: str) -> dict[str, object]:
    """The best of the rates, tried until one is enough."""
    began, best = time.perf_counter(), ("", 0.0, 0.0)
    for optimizer, rate in RATES:
        found = accuracy(depth, activation, start, optimizer, rate)
        best = max(best, (optimizer, rate, found), key=lambda item: item[2])
        if found > ENOUGH:
            break
    return {
        "depth": depth, "activation": activation, "start": start, "accuracy": round(best[2], 4),
        "optimizer": best[0], "rate": best[1], "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def kept() -> list[dict[str, object]]:
    return [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []


def run(starts: list[str], depths: list[int], activations: list[str]) -> None:
    torch.set_num_threads(1)
    done = {(line["depth"], line["activation"], line["start"]) for line in kept()}
    for start in starts:
        for depth in depths:
            for activation in activations:
                if (depth, activation, start) not in done:
                    line = cell(depth, activation, start)
                    with KEPT.open("a") as file:
                        file.write(json.dumps(line) + "\n")


def table() -> None:
    """Cells above 0.8, by start and depth, and those that are not."""
    lines = kept()
    for start in dict.fromkeys(line["start"] for line in lines):
        for depth in sorted({int(str(line["depth"])) for line in lines if line["start"] == start}):
            own = [line for line in lines if line["start"] == start and line["depth"] == depth]
            low = [f"{line['activation']} {line['accuracy']}" for line in own if float(str(line["accuracy"])) <= 0.8]
            print(f"{start:14} depth {depth:4}: {len(own) - len(low)} of {len(own)} above 0.8  {', '.join(low)}")


def main() -> None:
    run(["auto"], list(DEPTHS), list(ACTIVATIONS))
    table()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        some = sys.argv[3].split(",") if len(sys.argv) > 3 else list(ACTIVATIONS)
        run(sys.argv[1].split(","), [int(depth) for depth in sys.argv[2].split(",")], some)
    table()
