"""A plan follows from the model and the inputs, not from the values that the model holds or from any random state."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import initlab

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))


def new_weight_norm() -> nn.Module:
    first, second = parametrizations.weight_norm(nn.Linear(20, 32)), parametrizations.weight_norm(nn.Linear(32, 32))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(32, 3))


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(20, 32)), nn.ReLU(), nn.Linear(32, 3))


class Half(nn.Module):
    """A scripted half, whose parameters no mode sees, before a plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.jit.script(nn.Sequential(nn.Linear(20, 32), nn.ReLU()))
        self.last = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(x))


class Sampled(nn.Module):
    """Noise of torch.distributions added to what a layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.spread, self.last = nn.Linear(20, 8), nn.Linear(20, 8), nn.Linear(8, 20)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        law = torch.distributions.Normal(self.mean(x), nn.functional.softplus(self.spread(x)))
        return self.last(law.rsample())


@pytest.mark.parametrize("build", [new_weight_norm, old_weight_norm, Half, Sampled])
def test_two_builds_get_the_same_bits(build: type[nn.Module]) -> None:
    drawn = []
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = build()
            initlab.init_(model, example_inputs=X)
        drawn.append(dict(model.named_parameters()))
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())


def test_scripted_code_is_named_where_it_keeps_a_plan_from_being_measured() -> None:
    assert any("'body' is scripted" in words for words in initlab.plan(Half(), X).warnings)
    frozen = Half()
    for parameter in frozen.body.parameters():
        parameter.requires_grad_(False)  # what it holds stays, so that what follows can be measured
    assert not any("is scripted" in words for words in initlab.plan(frozen, X).warnings)
