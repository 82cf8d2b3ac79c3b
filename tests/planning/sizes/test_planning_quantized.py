"""What codes stand for, and what makes fixed codes, begins small."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import initlab
from initlab.planning.sizes.targets import QUANTIZED

X = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))


class Codes(nn.Module):
    """An encoder, the nearest of fixed codes, or of what a matrix makes of them, and a decoder."""

    def __init__(self, made: bool) -> None:
        super().__init__()
        self.first, self.last, self.read = nn.Linear(16, 64), nn.Linear(64, 32), nn.Linear(32, 16)
        self.make = nn.Linear(32, 32, bias=False) if made else nn.Identity()
        self.register_buffer("codes", torch.randn(64, 32, generator=torch.Generator().manual_seed(1)) / 32**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z, codes = self.last(self.first(x).relu()), self.make(self.codes)
        far = z.square().sum(1, True) - 2 * z @ codes.T + codes.square().sum(1)
        return self.read(codes[far.argmin(1)])


@pytest.mark.parametrize("made", [False, True])
def test_what_is_compared_with_fixed_codes_begins_small_and_so_do_codes_that_are_made(made: bool) -> None:
    plan = initlab.plan(Codes(made), X)
    for name in ("last", "make") if made else ("last",):
        assert plan[f"{name}.weight"].measured[1] == pytest.approx(QUANTIZED)
        assert "compared with codes" in plan[f"{name}.weight"].reason
    assert plan["first.weight"].measured[1] > 2 * QUANTIZED


def test_a_palette_of_classes_leaves_their_read_out_alone() -> None:
    class Palette(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.read = nn.Linear(16, 64), nn.Linear(64, 8)
            self.register_buffer("colours", torch.rand(8, 3))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self.read(self.first(x).relu())
            return logits, self.colours[logits.argmax(1)]

    assert "read-out" in initlab.plan(Palette(), X)["read.weight"].reason
