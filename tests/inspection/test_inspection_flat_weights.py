"""Models that hold their matrices flat, in vectors, as e3nn's layers do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import initlab

X = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
Y = torch.arange(64) % 5


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Parameter(torch.randn(16 * 32)), nn.Parameter(torch.randn(32 * 5))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(x @ self.first.view(16, 32) / 4)
        return torch.einsum("bi,io->bo", hidden, self.last.view(32, 5)) / 32**0.5


def test_a_model_of_flat_weights_that_trains_is_not_called_untrainable() -> None:
    report = initlab.inspect(Flat(), X, Y)
    assert report.verdict == "healthy"
    assert all(p.pace for p in report.parameters)


def test_flat_weights_that_no_gradient_reaches_are_named() -> None:
    class Stopped(Flat):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 0.0

    assert initlab.inspect(Stopped(), X, Y).verdict == "untrainable"


def test_biases_beside_matrices_are_no_weights() -> None:
    report = initlab.inspect(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5)), X, Y)
    assert [p.name for p in report.parameters if p.pace is None] == ["0.bias", "2.bias"]
