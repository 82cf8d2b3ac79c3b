"""Small parameters that are no weights: decays, thresholds, phases and places keep their author's numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import initlab

X = torch.randn(8, 5, 16, generator=torch.Generator().manual_seed(0))


class Leaky(nn.Module):
    """A bank of leaky integrators from a state of zeros: h ← a·h + (1 − a)·u, or h ← a·h + u."""

    def __init__(self, rates: torch.Tensor, *, share: bool, steps: int) -> None:
        super().__init__()
        self.rates, self.into, self.out = nn.Parameter(rates), nn.Linear(16, 16), nn.Linear(16, 4)
        self.share, self.steps = share, steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        decay = self.rates.sigmoid() if self.share else self.rates
        u = self.into(x)
        state = torch.zeros_like(u[:, 0])
        for step in range(self.steps):
            state = decay * state + ((1 - decay) if self.share else 1) * u[:, step]
        out: torch.Tensor = self.out(state)
        return out


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("steps", [1, 3])
def test_decays_are_no_biases_though_the_first_state_is_zero(share: bool, steps: int) -> None:
    rates = torch.randn(16, generator=torch.Generator().manual_seed(1))
    net = Leaky(rates.clone(), share=share, steps=steps)
    plan = initlab.init_(net, example_inputs=X)
    assert (plan["rates"].role, plan["rates"].code) == ("other", "own")
    assert torch.equal(net.rates, rates)
    assert not net.into.bias.any()


class Biased(nn.Module):
    """What a weight makes plus a vector, or plus what is made of one."""

    def __init__(self, made: Callable[[torch.Tensor], torch.Tensor], used: bool = False) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.randn(16, generator=torch.Generator().manual_seed(1)) / 8)
        self.one, self.two, self.made, self.used = nn.Linear(16, 16), nn.Linear(16, 4), made, used

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (self.one(x) - self.made(self.vector)).relu()
        out: torch.Tensor = self.two(x * self.vector if self.used else x)
        return out


@pytest.mark.parametrize(
    ("made", "used", "role"),
    [
        (lambda b: b, False, "bias"),
        (lambda b: b / 2, False, "bias"),
        (lambda b: 3 * b - b.mean(), False, "bias"),
        (lambda b: b.view(1, 16).expand(5, 16), False, "bias"),
        (lambda b: b, True, "other"),
        (torch.exp, False, "other"),
        (lambda b: 1 / (2 + b), False, "other"),
    ],
    ids=["as it is", "halved", "about its mean", "spread out", "a factor too", "its exponential", "its inverse"],
)
def test_a_shift_is_what_grows_with_the_parameter_and_does_nothing_else(
    made: Callable[[torch.Tensor], torch.Tensor], used: bool, role: str
) -> None:
    plan = initlab.plan(Biased(made, used), X)
    assert (plan["vector"].role, plan["vector"].code) == (role, "zero" if role == "bias" else "own")


class Heads(nn.Module):
    """Queries shifted by a vector for each head, of one packed projection (Dai et al., Transformer-XL, 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.packed, self.out = nn.Linear(16, 48), nn.Linear(16, 4)
        self.shift, self.places = nn.Parameter(torch.zeros(4, 4)), nn.Parameter(torch.zeros(5, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.packed(x).view(8, 5, 3, 4, 4).permute(2, 0, 3, 1, 4)
        scores = (q + self.shift[:, None]) @ (k + self.places).transpose(-1, -2) / 2
        out: torch.Tensor = self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return out


def test_a_vector_for_each_head_is_a_bias_and_one_for_each_place_is_none() -> None:
    plan = initlab.plan(Heads(), X)
    assert (plan["shift"].role, plan["shift"].code) == ("bias", "zero")
    assert (plan["places"].role, plan["places"].code) == ("other", "added")


class Complex(nn.Module):
    """A real signal taken on as complex numbers between two weights."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(16, 16), nn.Linear(16, 4)
        self.turns = nn.Parameter(torch.randn(16, 16) / 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.into(x).to(torch.complex64)[..., :16]
        out: torch.Tensor = self.out((first @ torch.complex(self.turns, self.turns)).real)
        return out


def test_a_signal_cast_to_complex_numbers_is_followed() -> None:
    plan = initlab.plan(Complex(), X)
    assert plan["into.weight"].code == "fed"
