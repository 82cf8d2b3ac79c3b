"""Outputs that are products of two signals, single logits, and tables of zeros."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import initlab

IDS = torch.randint(0, 40, (256,), generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(256, 32, generator=torch.Generator().manual_seed(1))
SINGLE = 8 * 0.025 * math.log(2)  # softplus(z) − z / 2 = ln 2 + z² / 8 + O(z⁴), 2.5% above ln 2


class Factors(nn.Module):
    """Users times items, with a bias of each that begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(40, 64), nn.Embedding(40, 64)
        self.biases = nn.Embedding(40, 1)
        nn.init.zeros_(self.biases.weight)

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> Any:
        return (self.users(users) * self.items(items)).sum(1) + self.biases(items).squeeze(1)


class Towers(nn.Module):
    """Scores of all of a batch by all: queries times keys, or by einsum."""

    def __init__(self, einsum: bool) -> None:
        super().__init__()
        self.one, self.other, self.einsum = nn.Linear(32, 64), nn.Linear(32, 64), einsum

    def forward(self, x: torch.Tensor) -> Any:
        one, other = self.one(x), self.other(x.roll(1, 0))
        return torch.einsum("nd,md->nm", one, other) if self.einsum else one @ other.T


class Trunk(nn.Module):
    """One side is a function's: the other has all of what there is to size."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.trunk = nn.Linear(32, 64), nn.Linear(32, 64)

    def forward(self, x: torch.Tensor) -> Any:
        return (self.branch(x) * torch.tanh(self.trunk(x))).sum(-1, keepdim=True)


def test_a_matrix_of_factors_begins_near_zero_and_its_biases_at_zero() -> None:
    model = Factors()
    plan = initlab.init_(model, example_inputs=(IDS, IDS.flip(0)))
    assert (
        model(IDS, IDS.flip(0)).square().mean().item() <= 1.5e-3
    )  # rows that are seen rarely: below a read-out's size
    assert plan["biases.weight"].reason.code == "zero_on_purpose"
    assert not model.biases.weight.any()
    assert "scores that are products" in plan["users.weight"].reason


@pytest.mark.parametrize("einsum", [False, True])
def test_logits_of_two_towers_cost_no_more_than_a_read_out(einsum: bool) -> None:
    model = Towers(einsum)
    initlab.init_(model, example_inputs=ROWS)
    loss = nn.functional.cross_entropy(model(ROWS), torch.arange(len(ROWS)))
    assert loss.item() == pytest.approx(math.log(len(ROWS)), rel=0.05)


def test_one_free_side_has_all_of_the_size() -> None:
    model = Trunk()
    plan = initlab.init_(model, example_inputs=ROWS)
    assert plan["branch.weight"].measured == pytest.approx((1, SINGLE / 64), rel=0.25)  # the law's slack
    assert plan["trunk.weight"].measured == pytest.approx((1, 1), rel=0.25)


def test_a_single_output_is_one_logit_of_two() -> None:
    """Both labels evenly: the first loss is within 5% of ln 2, as that of any vocabulary is."""
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1))
    initlab.init_(model, example_inputs=ROWS)
    labels = torch.arange(256).remainder(2).float()
    loss = nn.functional.binary_cross_entropy_with_logits(model(ROWS)[:, 0], labels)
    assert loss.item() == pytest.approx(math.log(2), rel=0.05)
