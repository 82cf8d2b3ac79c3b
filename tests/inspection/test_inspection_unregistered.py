"""Weights that a model uses and does not list: in a Python list, or tensors that are no Parameter."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import initlab

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
Y = torch.arange(64) % 4


class Listed(nn.Module):
    """Hidden layers in a ModuleList, or in a Python list, frozen there or not."""

    def __init__(self, registered: bool, trains: bool = True) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(20, 32), nn.Linear(32, 4)
        layers = [nn.Linear(32, 32).requires_grad_(trains) for _ in range(2)]
        self.layers = nn.ModuleList(layers) if registered else layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = layer(x.relu())
        return self.head(x)


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.head = torch.randn(20, 32, requires_grad=True), nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((x @ self.weight).relu())


class Displaced(nn.Module):
    """Takes a derivative by a displacement that it makes itself, as force fields do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(20, 32), nn.SiLU(), nn.Linear(32, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        moved = torch.zeros(20, requires_grad=True)
        energy = self.net(x + moved)
        return energy + torch.autograd.grad(energy.sum(), moved, create_graph=True)[0].sum()


def held(model: Listed) -> torch.optim.Optimizer:
    return torch.optim.Adam([*model.parameters(), *(p for layer in model.layers for p in layer.parameters())])


@pytest.mark.parametrize("model", [Listed(False), Bare()])
def test_weights_that_no_module_registers_are_named(model: nn.Module) -> None:
    report = initlab.inspect(model, X, Y)
    first = report.findings[0]
    assert (first.kind, first.severity) == ("unregistered", "warning")
    assert report.fix().what == (first.advice,)


def test_a_model_whose_layers_all_stand_in_a_list_is_told_why_nothing_trains() -> None:
    class All(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(20, 4)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers[0](x)

    report = initlab.inspect(All(), X, Y)
    assert report.verdict == "untrainable"
    assert report.findings[0].kind == "unregistered"


def test_it_is_a_remark_where_the_optimizer_holds_them() -> None:
    model = Listed(False)
    found = initlab.inspect(model, X, Y, optimizer=held(model)).findings
    assert [f.severity for f in found if f.kind == "unregistered"] == ["info"]


@pytest.mark.parametrize("model", [Listed(True), Listed(False, trains=False), Displaced()])
def test_listed_frozen_and_passing_tensors_are_not_named(model: nn.Module) -> None:
    assert "unregistered" not in [f.kind for f in initlab.inspect(model, X, Y).findings]
