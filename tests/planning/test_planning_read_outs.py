"""Which weights are read-outs: what is made of their outputs alone is given to the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab

X = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))


class Cut(nn.Module):
    """A network whose last weight's outputs are cut in two."""

    def __init__(self, made: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.hidden, self.last, self.made = nn.Linear(16, 64), nn.Linear(64, 8), made

    def forward(self, x: torch.Tensor) -> Any:
        return self.made(self.last(torch.tanh(self.hidden(x))))


def _of_parts(one: torch.Tensor, other: torch.Tensor) -> Any:
    return one, other.clamp(-5, 2).exp()


CUTS: dict[str, tuple[Callable[[torch.Tensor], Any], bool]] = {
    "slices": (lambda y: _of_parts(y[:, :4], y[:, 4:]), True),
    "chunk": (lambda y: _of_parts(*y.chunk(2, -1)), True),
    "split": (lambda y: _of_parts(*y.split([3, 5], -1)), True),
    "unbind": (lambda y: _of_parts(*y.view(-1, 2, 4).unbind(1)), True),
    "one piece alone": (lambda y: y.chunk(2, -1)[0], True),
    "a gated unit": (lambda y: (lambda a, b: a * torch.sigmoid(b))(*y.chunk(2, -1)), False),
}


@pytest.mark.parametrize(("made", "head"), CUTS.values(), ids=CUTS)
def test_a_mean_and_a_scale_in_one_weight_are_a_read_out(made: Callable[[torch.Tensor], Any], head: bool) -> None:
    """Policies and regressors that give a distribution: however its numbers are told apart, they begin small."""
    assert ("read-out" in initlab.plan(Cut(made), X)["last.weight"].reason) is head
