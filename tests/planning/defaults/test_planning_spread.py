"""Biases of weights that read data of few features are spread over it; all others are zero."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from functions import Of
from torch import nn

import initlab


def _data(features: int) -> torch.Tensor:
    return torch.randn(64, features, generator=torch.Generator().manual_seed(0))


SPREAD = {
    "one feature": (nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1)), _data(1), 1.0),
    "four": (nn.Sequential(nn.Linear(4, 32), nn.GELU(), nn.Linear(32, 1)), _data(4), 0.5),
    "sixteen": (nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1)), _data(16), 0.25),
    "a norm of samples reads it": (nn.Sequential(nn.Linear(4, 32), nn.LayerNorm(32), nn.Linear(32, 1)), _data(4), 0.5),
    "channels": (nn.Sequential(nn.Conv1d(4, 32, 1), nn.Tanh(), nn.Conv1d(32, 1, 1)), _data(4)[:, :, None], 0.5),
}
PHASES = {"sines": lambda y: torch.sin(5 * y), "windows": lambda y: torch.exp(-(y**2))}
ZERO = {
    "many features": (nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)), _data(64)),
    "a norm of features reads it": (nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.Linear(32, 1)), _data(2)),
    "nothing bends": (nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1)), _data(2)),
    "the read-out": (nn.Sequential(nn.Linear(2, 3)), _data(2)),
}


@pytest.mark.parametrize(("net", "x", "bound"), SPREAD.values(), ids=SPREAD)
def test_biases_are_spread_and_the_weight_beside_them_is_measured(
    net: nn.Module, x: torch.Tensor, bound: float
) -> None:
    plan = initlab.plan(net, x * 100)
    assert plan["0.bias"].scheme == f"uniform(low={-bound}, high={bound})"
    assert plan["2.bias"].std == 0
    initlab.init_(net, plan)
    layer = net.get_submodule("0")
    own = (layer(x * 100) - layer(x * 0)).detach()
    assert 0.2 < float(own.square().mean()) < 2  # data of any size


@pytest.mark.parametrize("function", PHASES.values(), ids=PHASES)
def test_waves_and_windows_of_the_data_have_phases(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    net = nn.Sequential(nn.Linear(4, 32), Of(function), nn.Linear(32, 32), Of(function), nn.Linear(32, 1))
    plan = initlab.plan(net, _data(4))
    assert plan["0.bias"].scheme == "uniform(low=-0.5, high=0.5)"
    assert plan["2.bias"].std == 0


@pytest.mark.parametrize(("net", "x"), ZERO.values(), ids=ZERO)
def test_other_biases_are_zero(net: nn.Module, x: torch.Tensor) -> None:
    assert initlab.plan(net, x)["0.bias"].std == 0
