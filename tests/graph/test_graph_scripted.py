"""Functions of TorchScript: recorded as the Python that they were made of."""

from __future__ import annotations

import torch
from torch import nn

import initlab
from initlab.graph import record

X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))


@torch.jit.script
def gated(signal: torch.Tensor, units: int) -> torch.Tensor:
    """The gate of WaveNet, as WaveGlow and VITS script it."""
    return torch.tanh(signal[:, :units]) * torch.sigmoid(signal[:, units:])


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 32), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(gated(self.first(x), 16))
        return out


def test_a_scripted_function_is_recorded_and_left_as_it_was() -> None:
    before = torch.jit.ScriptFunction.__call__
    kinds = [operation.kind for operation in record(Gated(), X).operations]
    assert kinds == ["linear", "getitem", "tanh", "getitem", "sigmoid", "mul", "linear"]
    assert torch.jit.ScriptFunction.__call__ is before
    assert gated(X, 4).shape == (64, 4)


def test_what_a_scripted_function_feeds_is_a_read_out() -> None:
    plan = initlab.plan(Gated(), X)
    assert "read-out" in plan["last.weight"].reason
