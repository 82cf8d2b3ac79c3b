"""Read-outs of spiking states: their potential leaks, is reset where it spikes, and is returned or added up."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import initlab

X = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))


def _leaky(current: Tensor, potential: Tensor) -> tuple[Tensor, Tensor]:
    """As snntorch's Leaky: what spiked last is reset by subtraction, with no gradient through the reset."""
    reset = (potential > 1).float().clone().detach()
    potential = 0.9 * potential + current - reset
    return (potential > 1).float(), potential


class Spiking(nn.Module):
    def __init__(self, steps: int, summed: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 64), nn.Linear(64, 5)
        self.steps, self.summed = steps, summed

    def forward(self, x: Tensor) -> Tensor:
        hidden, potential, total = torch.zeros(len(x), 64), torch.zeros(len(x), 5), torch.zeros(len(x), 5)
        for _ in range(self.steps):
            spikes, hidden = _leaky(self.first(x), hidden)
            _, potential = _leaky(self.last(spikes), potential)
            total = total + potential
        return total if self.summed else potential


@pytest.mark.parametrize("steps", [4, 25])
@pytest.mark.parametrize("summed", [False, True])
def test_a_spiking_read_out_begins_at_a_uniform_guess(steps: int, summed: bool) -> None:
    model = Spiking(steps, summed)
    initlab.init_(model, "auto", example_inputs=X)
    logits = model(X).detach()
    assert math.log(5) < float((logits.logsumexp(1) - logits.mean(1)).mean()) < 1.05 * math.log(5)
