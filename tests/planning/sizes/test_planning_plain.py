"""Networks without norms: what no norm stands before or right behind is drawn smaller, and trains better."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.planning.sizes.plain import LEAST

GENERATOR = torch.Generator().manual_seed(0)
X, PICTURES = torch.randn(256, 16, generator=GENERATOR), torch.randn(16, 3, 12, 12, generator=GENERATOR)


class Net(nn.Module):
    """A function of two layers of 16 features, and a read-out."""

    def __init__(self, made: Callable[[Net, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(16, 64), nn.Linear(64, 64), nn.LayerNorm(64)
        self.read, self.made = nn.Linear(64, 1), made

    def forward(self, x: torch.Tensor) -> Any:
        return self.read(self.made(self, x))


PLAIN = {
    "a perceptron": (nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)), X),
    "thinned out": (nn.Sequential(nn.Linear(16, 64), nn.SiLU(), nn.Dropout(), nn.Linear(64, 64), nn.GELU(),
                                  nn.Linear(64, 1)), X),
    "pooled before a function": (nn.Sequential(nn.Conv2d(3, 32, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(32, 64, 3),
                                               nn.ReLU(), nn.Flatten(), nn.Linear(64 * 9, 10)), PICTURES),
    "other functions": (nn.Sequential(nn.Linear(16, 64), nn.CELU(), nn.Linear(64, 64), nn.Hardswish(),
                                      nn.Linear(64, 64), nn.PReLU(), nn.Linear(64, 64), nn.Hardtanh(),
                                      nn.Linear(64, 64), nn.ReLU6(), nn.Linear(64, 1)), X),
    "scaled by parameters": (Net(lambda net, x: (net.second((net.first(x) * net.norm.weight).relu()) * net.norm.weight
                                                 + net.norm.bias).relu()), X),
    "data made ready": (Net(lambda net, x: net.second(net.first(((x - 0.3) / 1.5).sin()).relu()).relu()), X),
    "spectra": (Net(lambda net, x: net.second(net.first(torch.fft.fft(x).abs().log1p() - 1.4).relu()).relu()), X),
    "joined": (Net(lambda net, x: net.second(torch.cat([net.first(x)[:, :48].relu(), x], 1)).relu()), X),
}  # fmt: skip
SMALL_TOO = {
    "a stream": (lambda net, x: (h := net.first(x)) + net.second(h.tanh()).tanh(), ("first",)),
    "beside a gate": (lambda net, x: (h := net.first(x)) * torch.sigmoid(net.second(h.relu())), ("first",)),
    "steered": (lambda net, x: ((1 + (h := net.first(x))) * net.second(h.relu())).relu(), ("first", "second")),
}
OTHERS = {
    "a state": (lambda net, x: torch.tanh(net.first(x) + net.second(torch.tanh(net.second(net.first(x))))), ("first",)),
    "nothing bends": (lambda net, x: net.second(net.first(x)).relu(), ("first", "second")),
    "a function in two steps": (lambda net, x: net.second((h := net.first(x)) + h.tanh()).relu(), ("first", "second")),
    "a branch's end": (lambda net, x: (h := net.first(x).relu()) + net.second(h).relu(), ("second",)),
    "a norm before": (lambda net, x: (h := net.first(x)) + net.second(net.norm(h)).relu(), ("second",)),
    "a norm written out": (
        lambda net, x: (h := net.first(x)) + net.second(h / h.std(-1, keepdim=True)).relu(),
        ("first", "second"),
    ),
    "a norm of squares": (
        lambda net, x: (h := net.first(x)) + net.second(h * h.square().mean(1, True).rsqrt()).relu(),
        ("first", "second"),
    ),
    "a norm behind": (lambda net, x: (h := net.norm(net.first(x))) + net.second(h).relu(), ("first", "second")),
    "a gate": (lambda net, x: (h := net.first(x)) * torch.sigmoid(net.second(h.relu())), ("second",)),
    "shares": (lambda net, x: (h := net.first(x)) * torch.softmax(net.second(h.relu()), -1), ("second",)),
    "sines": (lambda net, x: torch.sin(net.second(h := torch.sin(net.first(x)))) + h, ("first", "second")),
}


@pytest.mark.parametrize("case", PLAIN)
def test_layers_of_plain_networks_are_as_small_as_torchs_own_and_it_is_said(case: str) -> None:
    model, x = PLAIN[case]
    plan = initlab.plan(model, x)
    *hidden, _ = [entry for entry in plan if entry.role == "weight"]
    for entry in hidden:
        second, target = entry.measured
        assert target == pytest.approx(LEAST, rel=0.3)  # 32 units and more, which spread
        assert second * entry.correction**2 == pytest.approx(target, rel=0.35)  # not corrected within the slack
    assert "to learn features" in hidden[0].reason


@pytest.mark.parametrize("case", SMALL_TOO)
def test_so_are_those_in_streams_and_products_without_norms(case: str) -> None:
    made, names = SMALL_TOO[case]
    plan = initlab.plan(Net(made), X)
    for name in names:
        assert plan[f"{name}.weight"].measured[1] < 1.3 * LEAST
    assert "to learn features" in plan[f"{names[0]}.weight"].reason


def test_weights_that_end_branches_are_no_larger_than_torchs_own() -> None:
    plan = initlab.plan(Branches(), X)
    for entry in plan:
        if entry.name.startswith("blocks") and entry.name.endswith("2.weight"):
            assert entry.std == pytest.approx(
                1 / math.sqrt(3 * 96), rel=0.01
            )  # √2 / √(3 · 96) has a third of the stream


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_small_data_is_made_up_for(scale: float) -> None:
    stds = [initlab.plan(Branches(), factor * X)["first.weight"].std for factor in (1.0, scale)]
    assert stds[0] == pytest.approx(scale * stds[1], rel=0.05)


@pytest.mark.parametrize("case", OTHERS)
def test_others_keep_their_size(case: str) -> None:
    made, names = OTHERS[case]
    plan = initlab.plan(Net(made), X)
    assert not [name for name in names if "to learn features" in plan[f"{name}.weight"].reason]


class Coupled(nn.Module):
    """A flow whose halves move each other (Dinh et al., 2015): the data, moved, is what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 8)) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            kept, moved = x.chunk(2, -1)
            x = torch.cat([moved + step(kept), kept], -1)
        return x


def test_data_that_was_moved_is_made_up_for_in_a_flow() -> None:
    plan = initlab.plan(Coupled(), X)
    assert [plan[f"steps.{place}.0.weight"].measured[1] for place in (1, 2)] == [1.0, 1.0]


class Quantised(nn.Module):
    """An encoder, the nearest rows of a table straight through, and a decoder (van den Oord et al., 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 8))
        self.codes, self.decoder = nn.Embedding(32, 8), nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z, table = self.encoder(x), self.codes.weight
        near = self.codes((z.square().sum(1, keepdim=True) - 2 * z @ table.t() + table.square().sum(1)).argmin(1))
        return self.decoder(z + (near - z).detach())


def test_a_codebook_is_as_large_as_what_it_is_compared_with() -> None:
    plan = initlab.plan(Quantised(), X)
    assert plan["codes.weight"].std == pytest.approx(plan["encoder.2.weight"].measured[1] ** 0.5, rel=0.1)
    assert "a codebook" in plan["codes.weight"].reason


def trained(build: Callable[[], nn.Module], start: str, optimizer: Any, rate: float, steps: int) -> float:
    """Mean loss of the last tenth of the steps on a linear answer, the rate falling to zero."""
    torch.manual_seed(0)
    model = build()
    if start == "auto":
        initlab.init_(model, example_inputs=X)
    answer = torch.randn(16, generator=torch.Generator().manual_seed(1)) / 4
    draws, losses = torch.Generator().manual_seed(2), []
    learner = optimizer(model.parameters(), lr=rate)
    for step in range(steps):
        learner.param_groups[0]["lr"] = rate * (1 - step / steps)
        x = torch.randn(64, 16, generator=draws)
        loss = (model(x)[:, 0] - x @ answer).square().mean()
        learner.zero_grad()
        loss.backward()
        learner.step()
        losses.append(loss.item())
    return sum(losses[-(steps // 10) :]) / (steps // 10)


class Branches(nn.Module):
    """Residual branches without norms."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.read = nn.Linear(16, 48), nn.Linear(48, 1)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(48, 96), nn.ReLU(), nn.Linear(96, 48)) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.read(x.relu())


def test_residual_branches_without_norms_learn_as_well_as_from_torchs_own_start() -> None:
    own, auto = (trained(Branches, start, torch.optim.AdamW, 0.01, 150) for start in ("torch", "auto"))
    assert auto < 1.05 * own


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD], ids=lambda kind: kind.__name__)
def test_a_linear_answer_is_learned_about_as_well_as_from_torchs_own_start(optimizer: Any) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

    rate = 0.01 if optimizer is torch.optim.AdamW else 0.1
    own, auto = (trained(build, start, optimizer, rate, 200) for start in ("torch", "auto"))
    assert auto < 1.5 * own


def test_a_plan_says_what_plain_layers_make_behind_small_ones() -> None:
    """Gains undo what arrives at unit size; behind a layer of second moment 1/3, 1/3 arrives."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    entry = initlab.plan(net, torch.randn(64, 64))["2.weight"]
    assert entry.predicted == pytest.approx(1 / 3, rel=1e-6)
    assert entry.measured is not None
    assert entry.measured[0] == pytest.approx(entry.predicted, rel=0.1)
