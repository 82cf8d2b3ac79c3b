"""A plan follows from the model and the inputs, not from the values that the model holds or from any random state."""

from __future__ import annotations

import warnings
from collections.abc import Callable

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


def new_spectral_norm() -> nn.Module:
    first, second = parametrizations.spectral_norm(nn.Linear(20, 32)), parametrizations.spectral_norm(nn.Linear(32, 32))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(32, 3))


def old_spectral_norm() -> nn.Module:
    first, second = nn.utils.spectral_norm(nn.Linear(20, 32)), nn.utils.spectral_norm(nn.Linear(32, 32))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(32, 3))


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


@pytest.mark.parametrize(
    "build", [new_weight_norm, old_weight_norm, new_spectral_norm, old_spectral_norm, Half, Sampled]
)
def test_two_builds_get_the_same_bits(build: type[nn.Module]) -> None:
    drawn = []
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = build()
            initlab.init_(model, example_inputs=X)
        drawn.append(dict(model.named_parameters()))
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())


@pytest.mark.parametrize("build", [new_spectral_norm, old_spectral_norm])
def test_what_spectral_norm_gives_is_measured_at_its_true_size(build: Callable[[], nn.Module]) -> None:
    model = build()
    plan = initlab.init_(model, example_inputs=X)
    hidden = model[:-1](X).detach().square().mean().item()
    assert plan["4.weight"].std == pytest.approx((32 / 2) ** -0.5, rel=1e-3)  # the logits are small: nothing to shrink
    assert model(X).var().item() == pytest.approx(2 * hidden, rel=0.5)
    first = next(entry for entry in plan.entries if entry.shape == (32, 20))
    assert first.correction == 1.0  # a std that the norm divides away is not corrected


def test_scripted_code_is_named_where_it_keeps_a_plan_from_being_measured() -> None:
    assert any("'body' is scripted" in words for words in initlab.plan(Half(), X).warnings)
    frozen = Half()
    for parameter in frozen.body.parameters():
        parameter.requires_grad_(False)  # what it holds stays, so that what follows can be measured
    assert not any("is scripted" in words for words in initlab.plan(frozen, X).warnings)
