"""Functions that are learned beside fixed ones begin near zero; those that stand alone carry the signal."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import initlab
from initlab.planning.sizes.plain import LEAST
from initlab.planning.sizes.targets import LEARNED

F = nn.functional
X = torch.rand(128, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1


class Learned(nn.Module):
    """Bumps around eight knots for each feature, with a function of the features beside them or not."""

    def __init__(self, beside: str) -> None:
        super().__init__()
        self.bumps, self.fixed, self.head, self.beside = nn.Linear(32, 16), nn.Linear(4, 16), nn.Linear(16, 3), beside
        self.register_buffer("knots", torch.linspace(-1, 1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.bumps(torch.exp(-((x[..., None] - self.knots) * 4).square()).flatten(1))
        made = made + self.fixed(F.silu(x)) if self.beside == "the same" else made
        made = made + self.fixed(torch.ones_like(x)) if self.beside == "another" else made
        out: torch.Tensor = self.head(F.silu(made))
        return out


@pytest.mark.parametrize(
    ("beside", "least", "most"),
    [("the same", LEARNED, LEARNED), ("another", 1.0, 1.0), ("", LEAST, 0.5)],
    ids=["beside a fixed one", "beside a constant", "alone, as a plain network's"],
)
def test_a_function_beside_a_fixed_one_begins_near_zero(beside: str, least: float, most: float) -> None:
    plan = initlab.plan(Learned(beside), X)
    assert plan["bumps.weight"].measured is not None
    assert least <= plan["bumps.weight"].measured[1] <= most
    if beside == "the same":
        assert 0.3 < plan["fixed.weight"].measured[1] < 0.6  # all that the next function reads, and no norm is near
