"""`compare` takes a loss by the name by which `inspect` takes it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError

F = nn.functional
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def losses(loss: Any) -> list[float]:
    settings: dict[str, Any] = dict(optimizer="sgd", lr=0.05, batch_size=16, steps=8)  # noqa: C408
    result = initlab.compare(build, (X, Y), (X, Y), schemes=["he_normal"], seeds=2, loss=loss, **settings)
    return [run.loss for run in result.runs]


def test_the_usual_loss_by_name_is_the_default() -> None:
    assert losses("mse") == losses("mse_loss") == losses("auto")


@pytest.mark.parametrize(("name", "function"), [("l1", F.l1_loss), ("huber", F.huber_loss)])
def test_a_named_loss_is_the_function_of_that_name(name: str, function: Any) -> None:
    assert losses(name) == losses(function)
    assert losses(name) != losses("auto")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="mse"):
        losses("mze")


def test_what_is_no_loss_is_refused() -> None:
    with pytest.raises(InputError, match="loss must be"):
        losses(3)
