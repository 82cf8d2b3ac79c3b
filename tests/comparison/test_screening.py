"""What is refused as certain not to train does not train, and what may train is let through."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.comparison.screening import certain_not_to_train
from initlab.training.engines.sequential import SequentialEngine
from initlab.training.task import RunSpec, Task


def blobs(classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(600) % classes
    return 4 * torch.eye(classes, 8)[y] + torch.randn(600, 8, generator=generator), y


def net(depth: int, activation: type[nn.Module], classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for place in range(depth):
        layers += [nn.Linear(8 if place == 0 else 16, 16), activation()]
    return nn.Sequential(*layers, nn.Linear(16, classes))


def normal(std: float) -> Any:
    return initlab.get_scheme("normal", std=std)


SGD, MOMENTUM, ADAMW = ("sgd", 0.1, {}), ("sgd", 0.05, {"momentum": 0.9}), ("adamw", 1e-2, {})
CASES = [
    # depth, activation, classes, optimizer, scheme, refused
    (
        2,
        nn.ReLU,
        2,
        ADAMW,
        initlab.get_scheme("constant", value=0.1),
        False,
    ),  # one unit a layer tells two classes apart
    (1, nn.ReLU, 4, SGD, normal(1e-6), False),  # two layers leave the saddle exponentially
    (1, nn.Sigmoid, 4, ADAMW, "zeros", False),  # the read-out's first step opens the rest
    (6, nn.ReLU, 4, MOMENTUM, "xavier_normal", False),
    (2, nn.ReLU, 4, ADAMW, "zeros", True),
    (12, nn.ReLU, 4, SGD, normal(0.01), True),
    (12, nn.Tanh, 4, SGD, normal(1e-4), True),
    (2, nn.ReLU, 4, SGD, normal(1e20), True),
]


@pytest.mark.parametrize(("depth", "activation", "classes", "optimizer", "scheme", "refused"), CASES)
def test_only_what_does_not_train_is_refused(
    depth: int, activation: type[nn.Module], classes: int, optimizer: Any, scheme: Any, refused: bool
) -> None:
    name, lr, options = optimizer
    data = blobs(classes)
    task = Task(
        lambda: net(depth, activation, classes), data, data, optimizer=name, options=options, batch_size=50, steps=400
    )
    spec = RunSpec("run", "start", scheme, 0, lr)
    reason = certain_not_to_train(task, spec)
    assert bool(reason) == refused, reason
    session = SequentialEngine().open(task, [spec])
    session.advance(400)
    accuracy = session.evaluate()["run"][1] or 0.0
    trains = accuracy > 1.3 / classes
    assert trains != refused
