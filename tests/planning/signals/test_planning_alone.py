"""What a parameter goes through alone before it meets a signal."""

from __future__ import annotations

import torch
from torch import nn

import initlab


class Phases(nn.Module):
    """Weights of modulus one, of which the phases are learned, as a light modulator's are (Lin et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.phase, self.read = nn.Parameter(torch.linspace(0, 6, 16 * 24).view(16, 24).sin()), nn.Linear(24, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read: torch.Tensor = self.read((x.to(torch.cfloat) @ torch.exp(1j * self.phase)).abs())
        return read


def test_a_weight_that_phases_make_complex_is_planned() -> None:
    model, x = Phases(), torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    plan = initlab.init_(model, example_inputs=x)
    assert "read-out" in plan["read.weight"].reason
    assert bool(model(x).isfinite().all())
