"""New rows lie as the old ones do, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError

OLD, NEW, DIM = 400, 2400, 5


def _grown(dtype: torch.dtype = torch.float32) -> nn.ModuleDict:
    torch.manual_seed(0)
    net = nn.ModuleDict(
        {"embed": nn.Embedding(OLD + NEW, DIM), "head": nn.Linear(DIM, OLD + NEW), "fc": nn.Linear(3, 3)}
    )
    with torch.no_grad():
        for p in (net["embed"].weight, net["head"].weight):
            p.copy_(torch.randn(OLD + NEW, DIM) @ torch.randn(DIM, DIM) + torch.arange(DIM))
            p[OLD:] = 77.0
    return net.to(dtype)


def test_new_rows_have_the_mean_and_covariance_of_the_old() -> None:
    net = _grown()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    written = initlab.fit.new_rows_(net, ["embed", "head"], slice(OLD, None), seed=1)
    assert set(written) == {"embed.weight", "head.weight", "head.bias"}
    for name in ("embed.weight", "head.weight"):
        table = net.get_parameter(name).detach().double().numpy()
        old, new = table[:OLD], table[OLD:]
        assert np.array_equal(old, before[name][:OLD].double().numpy())
        scale = old.std(0)
        # The mean of 2,400 rows has a standard error of 2% of a std; a covariance, of about 3% of the variances.
        assert np.abs((new.mean(0) - old.mean(0)) / scale).max() < 0.1
        difference = (np.cov(new.T) - np.cov(old.T)) / np.outer(scale, scale)
        assert np.abs(difference).max() < 0.15
    assert torch.equal(net["fc"].weight, before["fc.weight"])
    assert not torch.equal(net["embed"].weight[OLD:], net["head"].weight[OLD:])


def test_the_same_seed_gives_the_same_rows_and_no_spread_their_mean() -> None:
    one, other, still = _grown(), _grown(), _grown(torch.bfloat16)
    state = torch.get_rng_state()
    for net in (one, other):
        initlab.fit.new_rows_(net, "embed", slice(OLD, None), seed=2)
    initlab.fit.new_rows_(still, "embed.weight", slice(OLD, None), spread=0)
    assert torch.equal(one["embed"].weight, other["embed"].weight)
    assert torch.equal(torch.get_rng_state(), state)
    mean = still["embed"].weight[:OLD].double().mean(0)
    torch.testing.assert_close(still["embed"].weight[-1].double(), mean, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": slice(OLD + NEW, None)}, "must part into old and new ones"),
        ({"rows": slice(None)}, "must part into old and new ones"),
        ({"rows": 3}, "rows must be a slice"),
        ({"names": "embde"}, "did you mean"),
        ({"spread": -1.0}, "spread"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_refused_with_nothing_written(arguments: dict[str, Any], message: str) -> None:
    net = _grown()
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(InputError, match=message):
        initlab.fit.new_rows_(net, **{"names": "embed", "rows": slice(OLD, None), **arguments})
    assert all(torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))
