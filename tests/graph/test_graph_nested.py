"""Nested tensors inside a forward pass: parts of several lengths, whose shape is no whole number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import initlab
from initlab.guest.inputs import plain_shape

X = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))


class Parts(nn.Module):
    def __init__(self, layout: torch.layout) -> None:
        super().__init__()
        self.layout, self.into, self.head = layout, nn.Linear(4, 32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [row[: 2 + at % 3] for at, row in enumerate(x.view(-1, 4, 4))]
        made = self.into(torch.nested.as_nested_tensor(parts, layout=self.layout)).relu()
        return self.head(torch.nested.to_padded_tensor(made, 0.0).mean(1))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_a_model_that_nests_is_planned_and_inspected(layout: torch.layout) -> None:
    torch.manual_seed(0)
    model = Parts(layout)
    initlab.init_(model, initlab.plan(model, X))
    assert initlab.inspect(model, X, torch.arange(len(X)) % 5).verdict == "healthy"


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_shape_is_whole_numbers() -> None:
    parts = [torch.zeros(length, 4) for length in (2, 3, 4)]
    assert plain_shape(torch.nested.nested_tensor(parts, layout=torch.jagged)) == (3, 3, 4)
    assert plain_shape(torch.nested.nested_tensor(parts, layout=torch.strided)) == (3, 2, 4)
    assert plain_shape(torch.nested.nested_tensor(parts, layout=torch.jagged).transpose(1, 2)) == (3, 4, 3)
    assert plain_shape(torch.zeros(2, 5)) == (2, 5)
