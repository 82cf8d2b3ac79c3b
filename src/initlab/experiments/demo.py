"""The five-layer story on real data: eight starts of one network, what inspect predicts, what training then does."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from initlab import data
from initlab.comparison import Comparison, compare
from initlab.errors import seed_number
from initlab.inspection import Inspection, inspect
from initlab.planning import init_
from initlab.reporting import Shown
from initlab.schemes import Scheme, get_scheme

LAYERS, WIDTH, CLASSES = 5, 100, 10
BATCH, STEPS, INSPECTED = 64, 600, 256
# Accuracy beyond which a run has learned something: ten classes give 0.1 by chance.
LEARNED = 0.5
OPTIMIZERS = {"sgd": 0.1, "adamw": 1e-3}


@dataclass(frozen=True)
class Start:
    """One way to begin: an activation, a scheme, and what the story calls it."""

    name: str
    activation: str
    scheme: str
    arguments: tuple[tuple[str, float], ...] = ()

    def policy(self) -> Scheme:
        """The scheme with its arguments set."""
        return get_scheme(self.scheme, **dict(self.arguments))


STARTS = (
    Start("sigmoid, std 1", "Sigmoid", "normal", (("std", 1.0),)),
    Start("sigmoid, std 0.01", "Sigmoid", "normal", (("std", 0.01),)),
    Start("sigmoid, Xavier", "Sigmoid", "xavier_normal"),
    Start("ReLU, std 0.01", "ReLU", "normal", (("std", 0.01),)),
    Start("ReLU, Xavier", "ReLU", "xavier_normal"),
    Start("ReLU, He", "ReLU", "he_normal"),
    Start("ReLU, zeros", "ReLU", "zeros"),
    Start("ReLU, constant 0.1", "ReLU", "constant", (("value", 0.1),)),
)


@dataclass(frozen=True)
class Trial:
    """One start under one optimizer: the prediction, and what training did.

    Attributes:
        start: how the weights began.
        optimizer: "sgd" or "adamw".
        inspection: made before the first step.
        steps: of the loss curve.
        losses: mean training loss up to each of `steps`.
        accuracy: on held-out digits after the last step; 0 for a run that diverged.
    """

    start: Start
    optimizer: str
    inspection: Inspection
    steps: tuple[float, ...]
    losses: tuple[float, ...]
    accuracy: float

    @property
    def learned(self) -> bool:
        """Whether training got beyond `LEARNED`."""
        return self.accuracy > LEARNED

    @property
    def prediction(self) -> Literal["right", "wrong", "uncertain"]:
        """What training made of the verdict; one that says uncertain is neither right nor wrong."""
        if self.inspection.verdict == "uncertain":
            return "uncertain"
        return "right" if (self.inspection.verdict != "untrainable") == self.learned else "wrong"


@dataclass(frozen=True, repr=False)
class Demo(Shown):
    """All trials. `print(demo)` is the table, `demo.save("demo.html")` the report."""

    trials: tuple[Trial, ...]
    seed: int
    seconds: float

    def of(self, start: Start) -> tuple[Trial, ...]:
        """The trials of one start, by optimizer."""
        return tuple(trial for trial in self.trials if trial.start == start)


def run(*, seed: int = 0, note: Callable[[str], None] = lambda line: None) -> Demo:
    """Inspect and train eight starts of a five-layer network on scikit-learn's digits, with SGD and with AdamW.

    Args:
        seed: root seed in [0, 2^64).
        note: called with one line as each part starts.

    Returns:
        A `Demo`.

    Source:
        Glorot & Bengio: Understanding the difficulty of training deep feedforward neural networks (2010);
        He et al.: Delving deep into rectifiers (2015).
    """
    seed, began = seed_number(seed), time.perf_counter()
    split = data.digits()
    sizes = f"{len(split.train[0]):,} to train on, {len(split.test[0]):,} held out"
    note(f"{split.name}: {sizes}; {LAYERS} layers of {WIDTH} units, {STEPS} steps of {BATCH}")
    trials: list[Trial] = []
    for optimizer, lr in OPTIMIZERS.items():
        for activation in dict.fromkeys(start.activation for start in STARTS):
            starts = [start for start in STARTS if start.activation == activation]
            note(f"{activation} with {optimizer}, lr {lr:g}: {', '.join(s.name.split(', ')[1] for s in starts)}")
            trials += _trials(starts, optimizer, lr, split, seed)
    trials.sort(key=lambda trial: STARTS.index(trial.start))
    return Demo(tuple(trials), seed, time.perf_counter() - began)


def network(activation: str, features: int = 64) -> nn.Module:
    """Five hidden layers of 100 units, each followed by `activation`, and ten outputs.

    >>> sum(p.numel() for p in network("ReLU").parameters())
    47910
    """
    sizes = [features] + [WIDTH] * LAYERS
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), getattr(nn, activation)()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES))


def _trials(starts: Sequence[Start], optimizer: str, lr: float, split: Any, seed: int) -> list[Trial]:
    def build() -> nn.Module:
        return network(starts[0].activation)

    inputs, targets = split.train[0][:INSPECTED], split.train[1][:INSPECTED]
    inspections = []
    for start in starts:
        model = build()
        init_(model, start.policy(), seed=seed)
        inspections.append(inspect(model, inputs, targets, optimizer=optimizer, lr=lr))
    trained = compare(
        build,
        split.train,
        split.test,
        {start.name: start.policy() for start in starts},
        seeds=1,
        optimizer=optimizer,
        lr=lr,
        batch_size=BATCH,
        steps=STEPS,
        seed=seed,
        progress=False,
    )
    return [_trial(start, optimizer, i, trained) for start, i in zip(starts, inspections, strict=True)]


def _trial(start: Start, optimizer: str, inspection: Inspection, trained: Comparison) -> Trial:
    record = trained.of(start.name)[0]
    steps, losses = (tuple(float(v) for v in column) for column in record.curve.T)
    accuracy = record.accuracy if record.status == "finished" else 0.0
    return Trial(start, optimizer, inspection, steps, losses, accuracy)
