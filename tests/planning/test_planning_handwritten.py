"""Structures of models that researchers write by hand, each as a few lines of torch: what `auto` makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab

F = nn.functional


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def drawn(*shape: int) -> nn.Parameter:
    return nn.Parameter(batch(*shape) / 4)


class Complex(nn.Module):
    """A complex map of a real and an imaginary part, each row of which is scaled (Orvieto et al., 2023)."""

    def __init__(self, made: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.real, self.imag, self.scale = drawn(24, 16), drawn(24, 16), nn.Parameter(torch.linspace(-1, 0, 24))
        self.made, self.read = made, nn.Linear(24, 4)

    def forward(self, x: torch.Tensor) -> Any:
        weight = self.made(self.real, self.imag) * self.scale.exp()[:, None]
        return self.read((x.to(torch.cfloat) @ weight.mT).abs())


@pytest.mark.parametrize("made", [lambda a, b: a + 1j * b, torch.complex], ids=["a sum", "torch.complex"])
def test_the_parts_of_a_complex_weight_are_drawn_alike(made: Callable[..., torch.Tensor]) -> None:
    plan = initlab.plan(Complex(made), batch(64, 16))
    for part in ("real", "imag"):
        assert plan[part].std == pytest.approx(math.sqrt(1 / (2 * 16)), rel=0.25)  # E|w|² = 1/fan_in, in equal parts
    assert plan["scale"].action == "keep"


class Standardised(nn.Module):
    """Kernels less their mean over their standard deviation, times a gain (Brock et al., 2021)."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.weights = nn.ParameterList(batch(8, side, 3, 3) for side in (1, 8, 8, 8, 8))
        self.gains = nn.ParameterList(torch.full((8, 1, 1, 1), gain) for _ in range(5))
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> Any:
        for weight, gain in zip(self.weights, self.gains, strict=True):
            variance, mean = torch.var_mean(weight, (1, 2, 3), keepdim=True)
            count = weight[0].numel()
            x = F.relu(F.conv2d(x, (weight - mean) * torch.rsqrt((variance * count).clamp(min=1e-4)) * gain, padding=1))
        return self.head(x.mean((2, 3)))


def test_a_read_out_behind_gains_that_fade_its_signal_grows_tenfold_at_most_and_the_plan_says_why() -> None:
    plan = initlab.plan(Standardised(0.1), batch(32, 1, 8, 8))
    assert plan["head.weight"].correction == 10.0
    assert any("head.weight gives next to nothing" in words for words in plan.warnings)
    assert not initlab.plan(Standardised(1.7), batch(32, 1, 8, 8)).warnings


class Bins(nn.Module):
    """The density of a number in learned bins of learned widths: its negative logarithm (Müller et al., 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.heights, self.widths = nn.Linear(4, 32), nn.Linear(32, 8), nn.Linear(32, 8)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        z = torch.tanh(self.body(x))
        heights, widths = self.heights(z).softmax(-1), self.widths(z).softmax(-1)
        place = torch.searchsorted(widths.cumsum(-1)[:, :-1].contiguous(), y)
        return -(heights.gather(1, place) / widths.gather(1, place)).log()[:, 0]


def test_bins_of_a_density_that_the_model_returns_begin_alike() -> None:
    model, given = Bins(), (batch(256, 4), torch.rand(256, 1, generator=torch.Generator().manual_seed(1)))
    plan = initlab.init_(model, example_inputs=given)
    assert all("read-out" in plan[f"{name}.weight"].reason for name in ("heights", "widths"))
    assert float(model(*given).mean().detach()) < 2 * 0.05 * math.log(8)  # 0 of a uniform density; each within 5%


class Memory(nn.Module):
    """Patterns that a state is drawn to, keys and values in one (Ramsauer et al., 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.stored, self.read = nn.Linear(16, 24), drawn(32, 24), nn.Linear(24, 4)

    def forward(self, x: torch.Tensor) -> Any:
        state = self.enter(x)
        for _ in range(2):
            state = state + (state @ self.stored.T).softmax(-1) @ self.stored
        return self.read(state)


def test_what_a_softmax_mixes_is_made_no_larger_to_be_a_share_of_a_stream() -> None:
    plan = initlab.plan(Memory(), batch(64, 16))
    assert plan["stored"].correction <= 1.0


class Latents(nn.Module):
    """Latents that are parameters and read the data by attention, then a branch of their own (Jaegle et al., 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.latents, self.heed, self.pairs = nn.Parameter(batch(4, 32) * 0.02), nn.Linear(32, 32), nn.Linear(8, 64)
        self.bring, self.norm, self.read = nn.Linear(32, 32), nn.LayerNorm(32), nn.Linear(32, 4)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)

    def forward(self, x: torch.Tensor) -> Any:
        z = self.latents.expand(len(x), -1, -1)
        key, value = self.pairs(x).chunk(2, -1)
        z = z + self.bring(F.scaled_dot_product_attention(self.heed(self.norm(z)), key, value))
        z = z + self.down(F.gelu(self.up(self.norm(z))))
        return self.read(z.mean(1))


def test_what_first_brings_data_to_latents_is_no_share_of_them() -> None:
    model, x = Latents(), batch(64, 10, 8)
    plan = initlab.init_(model, example_inputs=x)
    assert "residual" not in plan["bring.weight"].reason
    assert "one of 1 that end residual branches" in plan["down.weight"].reason
    made = []
    model.bring.register_forward_hook(lambda *given: made.append(given[-1]))
    model(x)
    assert 0.1 < float(made[0].detach().square().mean()) < 3  # a share of latents of 0.02 would be 2e-4
