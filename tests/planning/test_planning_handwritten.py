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
    plan = initlab.plan(Standardised(0.3), batch(32, 1, 8, 8))
    assert plan["head.weight"].correction == 10.0
    assert any("head.weight gives next to nothing" in words for words in plan.warnings)
    fainter = initlab.plan(Standardised(0.1), batch(32, 1, 8, 8))
    assert fainter["head.weight"].correction < 1
    assert any("next to nothing reaches head.weight" in words for words in fainter.warnings)
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


class World(nn.Module):
    """A state that begins at zero, and at each step the divergence of what is seen from what was expected."""

    def __init__(self, width: int = 48, code: int = 16) -> None:
        super().__init__()
        self.width, self.code = width, code
        self.see, self.cell = nn.Sequential(nn.Linear(12, width), nn.ELU()), nn.GRUCell(code, width)
        self.expect = nn.Sequential(nn.Linear(width, width), nn.ELU(), nn.Linear(width, 2 * code))
        self.know, self.show = nn.Linear(2 * width, 2 * code), nn.Linear(width + code, 12)
        self.expected: list[torch.Tensor] = []

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state, code = seen.new_zeros(len(seen), self.width), seen.new_zeros(len(seen), self.code)
        shown, divergence, self.expected = [], torch.zeros(()), []
        for now in seen.unbind(1):
            state = self.cell(code, state)
            self.expected.append(self.expect[0](state).detach())
            before, after = self.given(self.expect(state)), self.given(self.know(torch.cat([state, self.see(now)], 1)))
            code = after.rsample()
            divergence = divergence + torch.distributions.kl_divergence(after, before).sum(1).mean()
            shown.append(self.show(torch.cat([state, code], 1)))
        return torch.stack(shown, 1), divergence / seen.shape[1]

    def given(self, made: torch.Tensor) -> torch.distributions.Normal:
        mean, scale = made.chunk(2, 1)
        return torch.distributions.Normal(mean, F.softplus(scale) + 0.1)


def test_an_expectation_begins_near_all_that_may_come() -> None:
    """KL(N(μ, σ²) ‖ N(0, σ₀²)) of 16 numbers with σ near σ₀ is about Σ μ²/(2σ₀²): 16/(2·0.8²) of a μ of unit size."""
    seen = torch.randn(32, 8, 12, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = World()
    plan = initlab.init_(model, example_inputs=seen)
    assert "read-out" in plan["expect.2.weight"].reason
    assert "read-out" not in plan["know.weight"].reason
    _, divergence = model(seen)
    assert float(divergence.detach()) < 12.5


def test_what_reads_a_state_that_grows_is_sized_by_all_steps() -> None:
    seen = torch.randn(32, 8, 12, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = World()
    _, target = initlab.init_(model, example_inputs=seen)["expect.0.weight"].measured
    model(seen)
    sizes = [float(made.square().mean()) for made in model.expected]
    assert sizes[0] < 0.6 * sizes[-1]
    assert sum(sizes) / len(sizes) == pytest.approx(target, rel=0.35)  # the slack of a measurement, and one draw's luck


def test_what_divides_the_answer_is_no_smaller_for_it() -> None:
    class Ratio(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.above, self.below = nn.Linear(8, 32), nn.Linear(8, 32)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (torch.tanh(self.above(x)) / self.below(x)).abs().clamp(max=9.0).mean(1)

    entry = initlab.plan(Ratio(), batch(64, 8))["below.weight"]
    assert "read-out" not in entry.reason


def test_towers_that_a_difference_compares_after_a_weight_are_no_read_outs() -> None:
    class Distance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.last = nn.Linear(8, 32), nn.Linear(8, 32), nn.Linear(32, 1)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.last((self.left(a) - self.right(b)).abs())

    a, b = torch.randn(2, 64, 8, generator=torch.Generator().manual_seed(0)).unbind()
    plan = initlab.plan(Distance(), (a, b))
    assert [name for name in ("left.weight", "right.weight") if "read-out" in plan[name].reason] == []
    assert "read-out" in plan["last.weight"].reason


class Edges(nn.Module):
    """Means of neighbours by a sparse matrix that is made of the places that the model is given."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.near = nn.Linear(8, 4), nn.Linear(8, 4, bias=False)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        near = torch.sparse_coo_tensor(edges, torch.ones(edges.shape[1]), (len(x), len(x))).coalesce()
        degrees = torch.sparse.sum(near, 1).to_dense().clamp(min=1)
        return self.own(x) + self.near(torch.sparse.mm(near, x) / degrees[:, None])


def test_a_sparse_matrix_that_inputs_make_is_planned() -> None:
    edges = torch.randint(0, 40, (2, 160), generator=torch.Generator().manual_seed(0))
    plan = initlab.plan(Edges(), (batch(40, 8), edges))
    assert all("read-out" in plan[name].reason for name in ("own.weight", "near.weight"))
