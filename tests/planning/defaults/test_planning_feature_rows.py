"""Numbers that rows of their own embed, x·w + b: rows and shifts of one size, which norms tell apart by the number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import initlab

X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
Embed = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # x, rows, shifts -> (64, 8, 16)

EMBEDS: dict[str, Embed] = {
    "product": lambda x, w, b: x[..., None] * w + b,
    "product of views": lambda x, w, b: w[None] * x[:, :, None] + b[None],
    "einsum": lambda x, w, b: torch.einsum("bf,fd->bfd", x, w) + b,
}
BETWEEN: dict[str, tuple[nn.Module, float]] = {  # what reads the sum -> the second moment of rows
    "norm": (nn.LayerNorm(16), 0.03),
    "rectified norm": (nn.Sequential(nn.ReLU(), nn.LayerNorm(16)), 0.03),
    "weight": (nn.Linear(16, 16), 0.25),
}


class Numbers(nn.Module):
    def __init__(self, embed: Embed, between: nn.Module) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(1)
        self.rows, self.shifts = (nn.Parameter(0.01 * torch.randn(8, 16, generator=draws)) for _ in range(2))
        self.embed, self.between = embed, between
        self.hidden, self.read = nn.Linear(128, 32), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.between(self.embed(x, self.rows, self.shifts))
        out: torch.Tensor = self.read(torch.relu(self.hidden(made.flatten(1))))
        return out


@pytest.mark.parametrize("embed", EMBEDS)
@pytest.mark.parametrize("between", BETWEEN)
def test_a_row_and_its_shift_are_drawn_by_one_law(embed: str, between: str) -> None:
    layer, second = BETWEEN[between]
    plan = initlab.plan(Numbers(EMBEDS[embed], layer), X)
    assert {name: plan[name].std for name in ("rows", "shifts")} == pytest.approx(
        dict.fromkeys(("rows", "shifts"), second**0.5), rel=1e-6
    )


def test_what_sines_read_and_rows_without_a_shift_are_no_such_rows() -> None:
    def waves(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.sin(x[..., None] * w + b)

    def bare(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return x[..., None] * w + b.mean()

    for embed in (waves, bare):
        plan = initlab.plan(Numbers(embed, nn.LayerNorm(16)), X)
        assert "feature_row" not in {plan["rows"].code, plan["shifts"].code}
