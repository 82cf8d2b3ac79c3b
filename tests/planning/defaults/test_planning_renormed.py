"""Tables whose look-up scales long rows down begin no longer than it leaves them, so that what reads them is sized."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import initlab


class Words(nn.Module):
    def __init__(self, **options: float) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, 32, padding_idx=0, **options), nn.Linear(32, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(tokens).max(1).values)


class Called(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Parameter(torch.randn(50, 32)), nn.Linear(32, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(F.embedding(tokens, self.table, max_norm=0.5).mean(1))


TOKENS = torch.randint(0, 50, (64, 8), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0, math.inf])
def test_rows_have_about_the_largest_norm(power: float) -> None:
    model = Words(max_norm=0.7, norm_type=power)
    initlab.init_(model, initlab.plan(model, TOKENS))
    assert model.table.weight[1:].norm(power, -1).mean().item() == pytest.approx(0.7, rel=0.1)


@pytest.mark.parametrize("model", [Words(max_norm=1.0), Words(max_norm=1.0, norm_type=1.0), Called()])
def test_the_first_loss_is_a_uniform_guess(model: nn.Module) -> None:
    initlab.init_(model, initlab.plan(model, TOKENS))
    loss = F.cross_entropy(model(TOKENS), torch.arange(len(TOKENS)) % 5)
    assert loss.item() == pytest.approx(math.log(5), rel=0.05)


def test_a_larger_norm_than_rows_have_changes_nothing() -> None:
    stds = [{row.name: row.std for row in initlab.plan(model, TOKENS)} for model in (Words(max_norm=100.0), Words())]
    assert stds[0] == stds[1]
