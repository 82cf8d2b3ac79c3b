"""Dropout and its kin: their masks' second moments against Monte Carlo, and what is told of them in evaluation mode."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.graph import record
from initlab.graph.dropping import mask_of_module
from initlab.graph.operations.dropping import Mask, mask_of

F = nn.functional


class DropPath(nn.Module):
    """Stochastic depth as timm and torchvision write it; `kept` is not divided out where `scaled` is False."""

    def __init__(self, rate: float, scaled: bool = True) -> None:
        super().__init__()
        self.rate, self.scaled = rate, scaled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.rate == 0 or not self.training:
            return x
        kept = x.new_empty((x.shape[0], *(1 for _ in x.shape[1:]))).bernoulli_(1 - self.rate)
        return x * (kept.div_(1 - self.rate) if self.scaled else kept)


class Floored(DropPath):
    """As transformers writes it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        kept = (1 - self.rate + torch.rand((x.shape[0], *(1 for _ in x.shape[1:])))).floor_()
        return x.div(1 - self.rate) * kept


class Batch(DropPath):
    """One mask for the whole batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand(()) >= self.rate) / (1 - self.rate) if self.training else x


class Own(DropPath):
    """Dropout written by hand."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand_like(x) >= self.rate) / (1 - self.rate) if self.training else x


class Called(DropPath):
    """A module around the function, which modes see anyway."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.rate, self.training)


MODULES: dict[str, tuple[nn.Module, Mask | None]] = {
    "path": (DropPath(0.3), Mask(0.3, "samples")),
    "path, kept": (DropPath(0.25, scaled=False), Mask(0.25, "samples", scaled=False)),
    "floored": (Floored(0.2), Mask(0.2, "samples")),
    "batch": (Batch(0.5), Mask(0.5, "samples")),
    "by hand": (Own(0.4), Mask(0.4)),
    "at rate 0": (DropPath(0.0), None),
    "seen anyway": (Called(0.3), None),
    "a function": (nn.Hardtanh(-2.0, 2.0), None),
}


@pytest.mark.parametrize("case", MODULES)
def test_a_module_shows_its_mask_on_ones(case: str) -> None:
    module, expected = MODULES[case]
    module.train()
    found = mask_of_module(module)
    assert module.training
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.over, found.scaled) == (expected.over, expected.scaled)
        # a scaled mask shows 1/(1 − p); else p is the share of 256 samples, whose standard error is 0.027
        assert found.rate == pytest.approx(expected.rate, abs=1e-6 if expected.scaled else 0.1)


@pytest.mark.parametrize("mean", [0.0, 0.6])
@pytest.mark.parametrize(
    ("function", "places"),
    [
        (F.dropout, ()),
        (F.dropout1d, (1,)),
        (F.dropout2d, (1, 1)),
        (F.alpha_dropout, ()),
        (F.feature_alpha_dropout, (1,)),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_moments_of_what_is_left_agree_with_a_million_draws(
    function: Any, places: tuple[int, ...], mean: float
) -> None:
    x = mean + torch.randn(2000, 500, *places, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    left = function(x, 0.3, True)
    mask = mask_of(function.__name__, (x, 0.3, False), {})
    assert mask is not None
    expected = mask.of(mean, 1 + mean**2)
    spread = left.square().std().item() / math.sqrt(left.numel())  # of the mean of as many independent squares
    assert left.mean().item() == pytest.approx(expected[0], abs=5 * left.std().item() / 1000)
    assert left.square().mean().item() == pytest.approx(expected[1], abs=5 * spread)
    again = mask.applied(x, torch.rand(mask.shape(tuple(x.shape)), generator=torch.Generator().manual_seed(1)) >= 0.3)
    assert again.square().mean().item() == pytest.approx(expected[1], abs=8 * spread)


class Pooled(nn.Module):
    def __init__(self, drop: nn.Module) -> None:
        super().__init__()
        self.first, self.drop, self.last = nn.Conv1d(64, 256, 1), drop, nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.drop(F.relu(self.first(x))).mean(-1))


@pytest.mark.parametrize("drop", [nn.Dropout(0.5), nn.Dropout1d(0.5)], ids=["elements", "features"])
def test_places_have_in_common_what_their_masks_leave(drop: nn.Module) -> None:
    """A mean over 16 places: independent masks leave E[xᵢxⱼ], one mask for a feature multiplies it by 1/(1 − p)."""
    model, x = Pooled(drop), torch.randn(512, 64, 16, generator=torch.Generator().manual_seed(0))
    feeds = record(model, x).uses("last.weight")[0].feeds
    made = torch.randn(512, 256, 16, generator=torch.Generator().manual_seed(1)).relu()
    torch.manual_seed(0)
    measured = drop.train()(made).mean(-1).square().mean().item()
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(measured, rel=0.03)  # the places of x are independent


def test_what_is_not_to_train_drops_nothing() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5), DropPath(0.5), nn.Linear(8, 8))
    x = torch.randn(64, 8)

    def fed() -> float | None:
        feeds = record(model, x).uses("4.weight")[0].feeds
        return None if feeds is None else feeds.second_moment

    assert fed() == pytest.approx(2.0)
    model[3].eval()
    assert fed() == pytest.approx(1.0)
    model[2].eval()
    assert fed() == pytest.approx(0.5)
    assert fed() == pytest.approx(0.5)
    model.eval()  # a whole model in evaluation mode is one that will train
    assert fed() == pytest.approx(2.0)


class Branch(nn.Module):
    """x + drop(x): what is dropped is another signal than what it came from."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.drop, self.last = nn.Dropout(0.5, inplace=in_place), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> Any:
        h = torch.tanh(x)
        return self.last(h + self.drop(h.clone() if self.drop.inplace else h))


@pytest.mark.parametrize("in_place", [False, True])
def test_a_signal_and_what_is_left_of_it_are_two(in_place: bool) -> None:
    kinds = [operation.kind for operation in record(Branch(in_place), torch.randn(4, 8)).operations]
    assert [kind for kind in kinds if kind != "clone"] == ["tanh", "dropout", "add", "linear"]


DEEP = [layer for _ in range(8) for layer in (nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.5))]


def test_a_deep_net_keeps_its_second_moment_in_training() -> None:
    """Eight layers with dropout 0.5 reached 240 while dropout was not counted."""
    model, x = nn.Sequential(*DEEP, nn.Linear(128, 10)), torch.randn(512, 128)
    plan = initlab.init_(model, "auto", example_inputs=x)
    torch.manual_seed(0)
    out = model[:22].train()(x)
    assert 0.1 < out.square().mean().item() < 2
    assert "dropout 0.5 in training" in plan.explain("3.weight")
