"""What `auto` chooses in a worker for six architectures, beside what every way takes when it is run for longer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from benchmarks._engines import mlp
from initlab.experiments.cnn_optuna import network
from initlab.training.batches import with_sources
from initlab.training.engines import get_engine
from initlab.training.engines.auto import Trial
from initlab.training.engines.machine import keep_freed_memory
from initlab.training.engines.runs import make_models
from initlab.training.task import RunSpec, Task

ROUNDS, STEPS = 3, 8


def norm_and_dropout() -> nn.Module:
    """Batch norm and dropout, which stack through vmap."""
    return nn.Sequential(nn.Linear(784, 100), nn.BatchNorm1d(100), nn.ReLU(), nn.Dropout(0.2), nn.Linear(100, 10))


class Lstm(nn.Module):
    """A layer that vmap refuses, over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(28, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


class Transformer(nn.Module):
    """One encoder layer over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(28, 32), nn.Linear(32, 10)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.embed(x)).mean(1))


@dataclass(frozen=True)
class Case:
    """A model, the shape of a sample, the batch, and the runs that one worker holds."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int
    runs: int


CASES = {
    "cnn-optuna": Case(partial(network, "logits"), (1, 28, 28), 32, 6),
    "MLP 784-100x4-10": Case(mlp([784, 100, 100, 100, 100, 10]), (784,), 128, 6),
    "small 64-100x5-10": Case(mlp([64, 100, 100, 100, 100, 100, 10]), (64,), 32, 32),
    "LSTM": Case(Lstm, (28, 28), 32, 4),
    "transformer": Case(Transformer, (28, 28), 32, 4),
    "batch norm and dropout": Case(norm_and_dropout, (784,), 32, 8),
}


def measured(case: Case) -> tuple[str, dict[str, float]]:
    """The plan that a worker's timing takes, and the CPU seconds of a run's step in every plan."""
    x, y = torch.randn(1000, *case.shape), torch.randint(0, 10, (1000,))
    task = with_sources(Task(case.build, (x, y), (x[:50], y[:50]), optimizer="sgd", batch_size=case.batch, steps=10**6))
    specs = [RunSpec(str(seed), "built", None, seed, 0.01) for seed in range(case.runs)]
    _, timings = Trial(task, specs, make_models(task, specs)).timings()
    sessions = {plan: get_engine(plan).open(task, specs) for plan in timings.seconds}
    found: dict[str, list[float]] = {plan: [] for plan in sessions}
    for session in sessions.values():
        session.advance(1)
    for _ in range(ROUNDS):
        for plan, session in sessions.items():
            start = time.process_time()
            session.advance(STEPS)
            found[plan].append((time.process_time() - start) / (STEPS * case.runs))
    choice = min(timings.seconds, key=lambda plan: timings.seconds[plan])
    return choice, {plan: statistics.median(values) for plan, values in found.items()}


def main() -> None:
    """Print the choice, what it costs beside the fastest, and every alternative."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as a worker does
    for name, case in CASES.items():
        choice, seconds = measured(case)
        ways = ", ".join(f"{plan} {1e3 * taken:.3g} ms" for plan, taken in seconds.items())
        print(f"   {name:24s} {choice}, {seconds[choice] / min(seconds.values()):.2f} of the fastest: {ways}")


if __name__ == "__main__":
    main()
