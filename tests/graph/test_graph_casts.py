"""A cast says nothing of a layer: with any of them a model is recorded and planned as without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.graph.operations import TABLE, cast

WAYS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda x: x,
    "float": lambda x: x.float(),
    "half": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "double": lambda x: x.double(),
    "to a dtype": lambda x: x.to(torch.float64),
    "to another": lambda x: x.to(torch.zeros(1, dtype=torch.float64)),
    "type": lambda x: x.type(torch.float64),
    "type_as": lambda x: x.type_as(torch.zeros(1, dtype=torch.float64)),
    "contiguous": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "clone": lambda x: x.clone(),
}


class Packed(nn.Module):
    def __init__(self, cast: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.cast, self.qkv, self.out = cast, nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> Any:
        q, k, v = self.cast(self.qkv(x)).chunk(3, -1)
        attended = (q @ k.transpose(1, 2) / 4).softmax(-1) @ v
        return x + self.out(attended.to(x.dtype))


@pytest.mark.parametrize("way", WAYS)
def test_a_packed_projection_is_one_under_every_cast(way: str) -> None:
    entry = initlab.plan(Packed(WAYS[way]), torch.randn(4, 6, 16), "xavier_normal")["qkv.weight"]
    assert entry.geometry is not None
    assert entry.geometry.packing is not None
    assert entry.geometry.packing.sizes == (16, 16, 16)
    assert entry.std == pytest.approx(0.25)


@pytest.mark.parametrize("kind", [kind for op in cast.OPS if op.keeps == "order" for kind in op.kinds])
def test_every_cast_and_copy_passes_a_signal_on(kind: str) -> None:
    assert TABLE[kind].signal is TABLE["clone"].signal
