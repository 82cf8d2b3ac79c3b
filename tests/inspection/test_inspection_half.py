"""Weights in float16 under Adam: its step divides by a square that is zero there."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
Y = torch.arange(64) % 4


def built(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4)).to(dtype)


def after_two_steps(model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(X.half()), Y).backward()
        optimizer.step()
    return F.cross_entropy(model(X.half()), Y)


def test_float16_under_adam_is_untrainable_and_named() -> None:
    model = built(torch.float16)
    before = [p.detach().clone() for p in model.parameters()]
    report = initlab.inspect(model, X.half(), Y, optimizer=torch.optim.Adam(model.parameters(), lr=1e-3))
    assert report.verdict == "untrainable"
    assert report.findings[0].kind == "precision"
    assert all(torch.equal(p, own) for p, own in zip(model.parameters(), before, strict=True))
    assert after_two_steps(model, torch.optim.Adam(model.parameters(), lr=1e-3)).isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_are_not_named(dtype: torch.dtype) -> None:
    model = built(dtype)
    report = initlab.inspect(model, X.to(dtype), Y, optimizer=torch.optim.Adam(model.parameters(), lr=1e-3))
    assert "precision" not in [f.kind for f in report.findings]


def test_float16_under_descent_is_not_named() -> None:
    model = built(torch.float16)
    report = initlab.inspect(model, X.half(), Y, optimizer=torch.optim.SGD(model.parameters(), lr=0.01))
    assert "precision" not in [f.kind for f in report.findings]
