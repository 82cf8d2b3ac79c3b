"""Weights that are not centred: named, where they are drawn so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import initlab

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
Y = torch.arange(64) % 4
Write = Callable[[torch.Tensor], object]


def built(write: Write | None = None) -> nn.Module:
    torch.manual_seed(0)
    parts = [part for _ in range(3) for part in (nn.Linear(20, 20), nn.LayerNorm(20), nn.ReLU())]
    model = nn.Sequential(*parts, nn.Linear(20, 4))
    for name, p in model.named_parameters():
        if write is not None and p.ndim > 1 and not name.startswith("9"):
            write(p.data)
    return model


def kinds(model: nn.Module) -> list[str]:
    return [f.kind for f in initlab.inspect(model, X, Y).findings]


@pytest.mark.parametrize("write", [lambda w: w.uniform_(0, 1), lambda w: w.normal_(0.5, 0.2), lambda w: w.abs_()])
def test_weights_that_are_not_centred_are_named(write: Write) -> None:
    assert "offset weights" in kinds(built(write))


@pytest.mark.parametrize("write", [None, nn.init.orthogonal_, nn.init.normal_, nn.init.zeros_])
def test_centred_weights_and_zeros_are_not(write: Write | None) -> None:
    assert "offset weights" not in kinds(built(write))


def test_weights_of_one_number_are_symmetric_and_not_offset() -> None:
    found = kinds(built(lambda w: w.fill_(0.05)))
    assert "symmetric" in found
    assert "offset weights" not in found
