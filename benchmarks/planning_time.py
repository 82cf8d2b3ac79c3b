"""How long `initlab.plan` takes on chains of 10 to 10,000 operations, beside a bare pass: the process's own seconds.

Goals: linear in the operations; at most three forward passes and 2 s for a model as people have them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

import initlab

LENGTHS = (10, 100, 1_000, 10_000)


class Chain(nn.Module):
    """A layer, a chain of operations, a read-out."""

    def __init__(self, body: Callable[[nn.Linear, torch.Tensor, int], torch.Tensor], length: int) -> None:
        super().__init__()
        self.first, self.shared, self.last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.body, self.length = body, length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(self.body(self.shared, self.first(x), self.length))
        return made


def functions(layer: nn.Linear, x: torch.Tensor, length: int) -> torch.Tensor:
    for place in range(length):
        x = torch.tanh(x) if place % 2 else x * 1.01
    return x


def recurrence(layer: nn.Linear, x: torch.Tensor, length: int) -> torch.Tensor:
    state = torch.zeros_like(x)
    for _ in range(length // 3):
        state = torch.tanh(layer(state) + x)
    return state


def scan(layer: nn.Linear, x: torch.Tensor, length: int) -> torch.Tensor:
    state, gate = torch.zeros_like(x), torch.sigmoid(x)
    for _ in range(length // 4):
        state = state * gate + x * (1 - gate)
    return state


def layers(length: int) -> nn.Module:
    inner = [part for _ in range(length // 2) for part in (nn.Linear(16, 16), nn.Tanh())]
    return nn.Sequential(*inner, nn.Linear(16, 4))


def main() -> None:
    kinds: dict[str, Callable[[int], nn.Module]] = {
        "functions of one number": lambda length: Chain(functions, length),
        "unrolled recurrence": lambda length: Chain(recurrence, length),
        "scan without weights": lambda length: Chain(scan, length),
        "layers of their own": layers,
    }
    initlab.plan(layers(10), torch.randn(4, 16))  # imports and compiled kernels
    for kind, build in kinds.items():
        for length in LENGTHS:
            model, x = build(length), torch.randn(4, 16)
            bare, planned = _seconds(lambda: model(x)), _seconds(lambda: initlab.plan(model, x))  # noqa: B023
            print(f"{kind:<24} {length:>6} operations: pass {bare:.3f} s, plan {planned:.2f} s", flush=True)


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    with torch.no_grad():
        run()
    return time.process_time() - began
