"""Weights whose output moves or scales the data itself: which they are, and that such models begin near identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.planning.sizes.targets import MOVED

F = nn.functional
X = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """What a function makes of the data, a hidden layer and a weight of eight outputs."""

    def __init__(self, made: Callable[[Net, torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        self.hidden, self.last, self.head, self.made = nn.Linear(2, 32), nn.Linear(32, 8), nn.Linear(2, 3), made

    def forward(self, x: torch.Tensor) -> Any:
        return self.made(self, x, self.last(F.relu(self.hidden(x[:, :2]))))


def _affine(net: Net, x: torch.Tensor, y: torch.Tensor) -> Any:
    scale, shift = y[:, :2], y[:, 2:4]
    moved = torch.cat([x[:, :2], x[:, 2:] * torch.exp(torch.tanh(scale)) + shift], 1)
    return -0.5 * moved.square().sum(1) + scale.sum(1)


def _spline(net: Net, x: torch.Tensor, y: torch.Tensor) -> Any:
    knots, slopes = F.softmax(y[:, :4], -1).cumsum(-1), torch.exp(y[:, 4:])
    place = (knots < x[:, 2:3]).long().sum(-1, keepdim=True).clamp(max=3)
    return slopes.gather(1, place) * (x[:, 2:3] - knots.gather(1, place))


MOVES: dict[str, Callable[[Net, torch.Tensor, torch.Tensor], Any]] = {
    "an affine coupling": _affine,
    "all of the data at once (a masked flow)": lambda net, x, y: (x - y[:, :4]) * torch.exp(-y[:, 4:]),
    "a shift": lambda net, x, y: torch.cat([x[:, :2], x[:, 2:] + y[:, :2]], 1),
    "a spline": _spline,
    "a Gaussian's mean and scale": lambda net, x, y: ((x[:, 2:] - y[:, :2]) / F.softplus(y[:, 2:4])).square().sum(1),
    "a step along differences": lambda net, x, y: net.head(x[:, 2:] + (y[:, :2] * (x[:, 2:] - x[:, :2])).sum(1, True)),
}
MOVES_NOT: dict[str, Callable[[Net, torch.Tensor, torch.Tensor], Any]] = {
    "more layers follow": lambda net, x, y: net.head(F.relu(x[:, 2:] + y[:, :2])),
    "a gate": lambda net, x, y: net.head(x[:, 2:] * torch.sigmoid(y[:, :2])),
    "attention by hand": lambda net, x, y: net.head((torch.exp(y) / torch.exp(y).sum(1, True))[:, :2]),
    "beside the data": lambda net, x, y: F.linear(torch.cat([x, y], 1), net.last.weight[:3, :12]),
}


@pytest.mark.parametrize("made", MOVES.values(), ids=MOVES)
def test_what_moves_the_data_begins_small(made: Any) -> None:
    entry = initlab.plan(Net(made), X)["last.weight"]
    assert entry.measured is not None
    assert entry.measured[1] == MOVED
    assert "near the identity" in str(entry.reason)


@pytest.mark.parametrize("made", MOVES_NOT.values(), ids=MOVES_NOT)
def test_what_does_not_is_sized_as_ever(made: Any) -> None:
    entry = initlab.plan(Net(made), X)["last.weight"]
    assert entry.measured is None or entry.measured[1] != MOVED


class Jacobian(nn.Module):
    """A monotone function of positive weights, and the logarithm of its slope, which it takes as it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Parameter(torch.rand(64, 4)), nn.Parameter(torch.rand(4, 64))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = torch.tanh(x @ self.first.abs().T) @ self.last.abs().T
            return y, torch.autograd.grad(y.sum(), x, create_graph=True)[0].log()


def test_a_model_that_takes_gradients_as_it_runs_is_measured_with_weights_of_one_sign() -> None:
    plan = initlab.plan(Jacobian(), X)
    assert not plan.warnings
    assert plan["first"].measured is not None
    net = Jacobian()
    initlab.init_(net, "auto", example_inputs=X)
    assert 0.25 < float((X @ net.first.detach().abs().T).square().mean()) < 2


class Transform(nn.Module):
    """x times a matrix that is made of it, beside an identity in rows or as a matrix."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.made, self.way = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 64)), way
        self.read = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made, one = self.made(x.mean(1)), torch.eye(8)
        if self.way == "added to what it multiplies":
            return self.read(((x.mT.permute(0, 2, 1) @ made.view(-1, 8, 8)).mT + x.mT).mT).amax(1)
        made = (made + one.flatten()[None]).view(-1, 8, 8) if self.way == "in rows" else made.view(-1, 8, 8) + one
        return self.read(x @ made).amax(1)


@pytest.mark.parametrize("way", ["in rows", "as a matrix", "added to what it multiplies"])
def test_a_matrix_beside_an_identity_begins_near_it(way: str) -> None:
    entry = initlab.plan(Transform(way), torch.randn(64, 20, 8))["made.2.weight"]
    assert entry.measured is not None
    assert entry.measured[1] == pytest.approx(MOVED / 8)
    assert "an identity is added" in entry.reason


class Field(nn.Module):
    """A field of steps that moves the places where a picture is read, three times (Teed & Deng, RAFT, 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.step = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = torch.arange(8.0)
        first = places = torch.stack(torch.meshgrid(side, side, indexing="ij"))[None].expand(len(x), -1, -1, -1)
        for _ in range(3):
            found = F.grid_sample(x, places.permute(0, 2, 3, 1) / 4 - 1, align_corners=False)
            places = places + self.step(torch.tanh(self.read(found)))
        return places - first


def test_a_field_that_moves_places_is_no_share_of_them() -> None:
    entry = initlab.plan(Field(), torch.randn(8, 3, 8, 8))["step.weight"]
    assert entry.measured is not None
    assert entry.measured[1] == MOVED
