"""Weights between a Fourier transform and its inverse: of the size that their output has where it is places again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import initlab

F = nn.functional
SMOOTH = F.interpolate(torch.randn(16, 8, 8, generator=torch.Generator().manual_seed(0)), scale_factor=8, mode="linear")


class Spectral(nn.Module):
    """A layer of a Fourier neural operator: a few low frequencies of eight channels."""

    def __init__(self, norm: str | None, shifted: bool = False) -> None:
        super().__init__()
        self.w, self.norm, self.shifted = nn.Parameter(torch.randn(8, 32, 8, dtype=torch.cfloat)), norm, shifted
        self.after, self.head = nn.Conv1d(32, 32, 1), nn.Conv1d(32, 1, 1)

    def back(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(x, norm=self.norm)
        kept = spectrum.new_zeros(len(x), 32, spectrum.shape[-1])
        kept[..., :8] = torch.einsum("bik,iok->bok", spectrum[..., :8], self.w)
        kept = torch.fft.ifftshift(torch.fft.fftshift(kept)) if self.shifted else kept
        return torch.fft.irfft(kept, n=x.shape[-1], norm=self.norm)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(F.gelu(self.after(F.gelu(self.back(x)))))


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("shifted", [False, True])
def test_a_spectral_weight_is_sized_at_places(norm: str | None, shifted: bool) -> None:
    net = Spectral(norm, shifted)
    plan = initlab.init_(net, example_inputs=SMOOTH)
    assert 0.7 < float(net.back(SMOOTH).detach().square().mean()) < 1.4
    alike = initlab.plan(Spectral("ortho"), SMOOTH)["w"].std
    assert plan["w"].std == pytest.approx(alike, rel=0.1)  # whatever the transforms are scaled by
    assert plan["after.weight"].gain == pytest.approx(1.534, rel=0.1)  # GELU's: what it reads has unit size
