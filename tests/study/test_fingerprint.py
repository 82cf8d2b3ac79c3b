"""Studies with different losses have different fingerprints, and one loss has one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initlab.study.fingerprint import loss_fingerprint, task_fingerprint
from initlab.training.task import Task


def weighted(scale: float) -> Callable[..., torch.Tensor]:
    return lambda output, target: scale * F.mse_loss(output, target)


def auto(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.l1_loss(output, target)


class Scaled:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.scale * F.mse_loss(output, target)


# Each a loss of its own, made twice.
LOSSES: dict[str, Callable[[], Any]] = {
    "auto": lambda: "auto",
    "a function called auto": lambda: auto,
    "l1": lambda: F.l1_loss,
    "huber": lambda: F.huber_loss,
    "huber, delta 2": lambda: partial(F.huber_loss, delta=2.0),
    "huber, delta 3": lambda: partial(F.huber_loss, delta=3.0),
    "a module": lambda: nn.HuberLoss(),
    "a module, delta 2": lambda: nn.HuberLoss(delta=2.0),
    "weights": lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])),
    "other weights": lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0])),
    "smoothing": lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
    "a closure over 2": lambda: weighted(2.0),
    "a closure over 3": lambda: weighted(3.0),
    "a lambda": lambda: lambda output, target: (output - target).abs().mean(),
    "another lambda": lambda: lambda output, target: (output - target).square().mean(),
    "an object": lambda: Scaled(2.0),
    "another object": lambda: Scaled(3.0),
}


def test_losses_that_differ_have_fingerprints_that_differ() -> None:
    found = {name: loss_fingerprint(make()) for name, make in LOSSES.items()}
    assert len(set(found.values())) == len(LOSSES), found


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_made_again_has_the_same_fingerprint(name: str) -> None:
    assert loss_fingerprint(LOSSES[name]()) == loss_fingerprint(LOSSES[name]())


@pytest.mark.parametrize(
    ("one", "other", "targets", "alike"),
    [
        ("auto", "mse", torch.zeros(4, 2), True),
        ("auto", "cross_entropy", torch.arange(4) % 2, True),
        ("mse", "mse_loss", torch.zeros(4, 2), True),
        ("l1", F.l1_loss, torch.zeros(4, 2), True),
        ("auto", "l1", torch.zeros(4, 2), False),
        ("auto", "nll", torch.arange(4) % 2, False),
        ("auto", "mse", torch.arange(4) % 2, False),
    ],
)
def test_names_of_one_loss_begin_one_study(one: Any, other: Any, targets: torch.Tensor, alike: bool) -> None:
    data = (torch.zeros(4, 3), targets)
    made = [
        task_fingerprint(Task(lambda: nn.Linear(3, 2), data, data, loss=loss), nn.Linear(3, 2))["settings"]["loss"]
        for loss in (one, other)
    ]
    assert (made[0] == made[1]) == alike
