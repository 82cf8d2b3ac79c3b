"""Outputs that are multiplied with each other, with no function between, begin smaller; behind one they do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab

X = torch.randn(64, 12, 32, generator=torch.Generator().manual_seed(0))
Mix = Callable[[torch.Tensor, torch.Tensor, nn.Module], torch.Tensor]  # two factors, a layer -> what is read


class Gated(nn.Module):
    """A branch between a norm and its last matrix."""

    def __init__(self, mix: Mix) -> None:
        super().__init__()
        self.norm, self.last = nn.LayerNorm(32), nn.LayerNorm(32)
        self.into, self.conv, self.out = (
            nn.Linear(32, 64),
            nn.Conv1d(32, 32, 3, padding=1, groups=32),
            nn.Linear(32, 32),
        )
        self.mix, self.read = mix, nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two = self.into(self.norm(x)).chunk(2, -1)
        out: torch.Tensor = self.read(self.last(x + self.out(self.mix(one, two, self.conv))))
        return out


def _convolved(x: torch.Tensor, conv: nn.Module) -> torch.Tensor:
    made: torch.Tensor = conv(x.transpose(1, 2)).transpose(1, 2)
    return made


def _in_frequencies(x: torch.Tensor) -> torch.Tensor:
    return torch.fft.irfft(torch.fft.rfft(x, dim=1) * 0.5, x.shape[1], dim=1)


SMALL: dict[str, Mix] = {
    "bilinear": lambda a, b, conv: a * b,
    "product of three": lambda a, b, conv: a * _convolved(a * b, conv),
    "behind a transform": lambda a, b, conv: a * _in_frequencies(a * b),
}
UNIT: dict[str, Mix] = {
    "SwiGLU": lambda a, b, conv: F.silu(a) * b,
    "a relu that is cut off": lambda a, b, conv: F.relu6(a) * b,
    "a softmax": lambda a, b, conv: torch.softmax(a, -1) * b,
    "a sigmoid": lambda a, b, conv: torch.sigmoid(a) * b,
    "a norm": lambda a, b, conv: F.layer_norm(a, (32,)) * b,
    "a sum": lambda a, b, conv: a + b,
}


@pytest.mark.parametrize("mix", SMALL)
def test_factors_that_weights_make_begin_smaller(mix: str) -> None:
    model = Gated(SMALL[mix])
    plan = initlab.init_(model, example_inputs=X)
    made: dict[str, float] = {}
    model.into.register_forward_hook(lambda module, given, out: made.update(into=out.detach().square().mean().item()))
    model(X)
    assert made["into"] == pytest.approx(1 / 3, rel=0.2), plan["into.weight"].reason


@pytest.mark.parametrize("mix", UNIT)
def test_behind_a_function_or_a_norm_no_factor_does(mix: str) -> None:
    reason = initlab.plan(Gated(UNIT[mix]), X)["into.weight"].reason
    assert "multiplied with" not in reason
