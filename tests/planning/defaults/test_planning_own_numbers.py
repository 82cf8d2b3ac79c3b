"""Small parameters that are no weights: decays, thresholds, phases and places keep their author's numbers."""

from __future__ import annotations

import math
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


def test_banks_of_equal_decays_in_order_are_no_copies_by_chance() -> None:
    net = nn.Sequential(*(Leaky(torch.linspace(-2, 2, 16), share=True, steps=3) for _ in range(2)))
    net[0].out = nn.Linear(16, 80)
    net.insert(1, nn.Unflatten(-1, (5, 16)))
    plan = initlab.init_(net, example_inputs=X)
    assert {plan[f"{i}.rates"].code for i in (0, 2)} == {"pattern"}
    assert not plan.warnings


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
    assert (plan["vector"].role, plan["vector"].code) == (role, "spread" if role == "bias" else "own")


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


class Shifted(nn.Module):
    """Numbers added to what a layer makes: its own bias, or a parameter of some shape, before some function."""

    def __init__(self, numbers: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor], own: bool) -> None:
        super().__init__()
        width = numbers.shape[-1]
        self.one, self.two = nn.Linear(16, width), nn.Linear(width, 4)
        self.function = function
        if own:
            self.one.bias = nn.Parameter(numbers)
        else:
            self.shift = nn.Parameter(numbers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.one(x)
        out: torch.Tensor = self.two(self.function(made if not hasattr(self, "shift") else made + self.shift))
        return out


DRAWN = torch.Generator().manual_seed(2)
PURPOSE = {
    "five evenly": torch.linspace(-2, 2, 5),
    "five by one factor": torch.logspace(-2, 0, 5),
    "nine in order": torch.erfinv(torch.arange(-4, 5) / 5),
    "by hand": torch.tensor([0.5, -1.0, 0.25, 2.0, 0.0, 1.5]),
    "a pattern": torch.tensor([1.0, 0, 0, 0, 1, 0]),
}
NO_PURPOSE = {
    "uniform": torch.rand(6, generator=DRAWN) - 0.5,
    "normal": torch.randn(9, generator=DRAWN),
    "in half precision": torch.randn(6, generator=DRAWN).bfloat16().float(),
    "four in order": torch.tensor([-1.0213, 0.10312, 0.32111, 0.75513]),
    "zero": torch.zeros(6),
}


@pytest.mark.parametrize("own", [True, False], ids=["own bias", "parameter"])
@pytest.mark.parametrize("name", PURPOSE)
def test_shifts_that_an_author_made_by_a_rule_or_by_hand_are_kept(name: str, own: bool) -> None:
    net = Shifted(PURPOSE[name].clone(), torch.relu, own)
    plan = initlab.init_(net, example_inputs=X)
    numbers = net.one.bias if own else net.shift
    assert torch.equal(numbers, PURPOSE[name])
    assert plan["one.bias" if own else "shift"].code == "special_bias"


@pytest.mark.parametrize("name", NO_PURPOSE)
@pytest.mark.parametrize("own", [True, False], ids=["own bias", "parameter"])
def test_shifts_that_may_be_drawn_are_drawn_anew(name: str, own: bool) -> None:
    numbers = NO_PURPOSE[name]
    dtype = torch.bfloat16 if name == "in half precision" else torch.float32
    net = Shifted(numbers.to(dtype), torch.relu, own)
    assert initlab.plan(net.to(dtype), X.to(dtype))["one.bias" if own else "shift"].code == "spread"


@pytest.mark.parametrize("own", [True, False], ids=["own bias", "parameter"])
@pytest.mark.parametrize("shape", [(24,), (1, 24)])
def test_phases_of_sines_are_kept(shape: tuple[int, ...], own: bool) -> None:
    """cos(W x + b), b ~ U(0, 2π) or U(−π, π) (Rahimi & Recht, Random features, 2007, section 3)."""
    phases = math.pi * (2 * torch.rand(shape, generator=DRAWN) - 1)
    net = Shifted(phases.flatten() if own else phases, torch.cos, own)
    plan = initlab.init_(net, example_inputs=X)
    assert plan["one.bias" if own else "shift"].code == "special_bias"
    usual = initlab.plan(Shifted(phases.flatten() / 24, torch.cos, own=True), X)
    assert usual["one.bias"].code == "spread", "as small as a layer draws it, a bias before a sine is none"


class Reads(nn.Module):
    """Queries that read a map of features at places of their own (Zhu et al., Deformable DETR, 2021)."""

    def __init__(self, squashed: bool) -> None:
        super().__init__()
        self.queries, self.offsets = nn.Parameter(torch.randn(10, 16)), nn.Linear(16, 6)
        self.value, self.out, self.squashed = nn.Linear(16, 16), nn.Linear(16, 3), squashed
        self.places = nn.Parameter(torch.rand(10, 2, generator=torch.Generator().manual_seed(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        queries = self.queries.expand(len(x), -1, -1)
        places = self.places.sigmoid() if self.squashed else self.places
        grid = 2 * (places[None, :, None] + self.offsets(queries).view(-1, 10, 3, 2) / 7) - 1
        features = self.value(x).transpose(1, 2).unflatten(2, (7, 7))
        read = nn.functional.grid_sample(features, grid, align_corners=False).mean(-1)
        out: torch.Tensor = self.out(queries + read.transpose(1, 2))
        return out


@pytest.mark.parametrize("squashed", [True, False])
def test_places_at_which_features_are_read_are_kept_and_queries_are_drawn(squashed: bool) -> None:
    plan = initlab.plan(Reads(squashed), torch.randn(4, 49, 16))
    assert (plan["places"].code, plan["queries"].code) == ("own", "added")


def sinusoids(places: int, width: int) -> torch.Tensor:
    angles = torch.arange(places)[:, None] * 10000 ** (-torch.arange(0, width, 2) / width)
    return torch.cat([angles.sin(), angles.cos()], -1)


class Placed(nn.Module):
    """Tokens and places, each from a table or a parameter."""

    def __init__(self, places: torch.Tensor, tokens: torch.Tensor) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding.from_pretrained(tokens, freeze=False), nn.Parameter(places)
        self.table, self.out = nn.Embedding.from_pretrained(places.clone(), freeze=False), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.out((self.tokens(x) + self.places + self.table(torch.arange(5))).relu())
        return out


def test_tables_that_were_made_by_a_rule_are_kept_and_draws_are_not() -> None:
    ids = torch.arange(20).view(4, 5)
    made = initlab.plan(Placed(sinusoids(5, 16), torch.eye(20, 16)), ids)
    assert {made[name].code for name in ("places", "table.weight", "tokens.weight")} == {"pattern"}
    alike = initlab.plan(Placed(torch.full((5, 16), 0.5), torch.ones(20, 16)), ids)
    assert {alike[name].action for name in ("places", "table.weight", "tokens.weight")} == {"write"}
    drawn = initlab.plan(Placed(torch.randn(5, 16, generator=DRAWN), torch.randn(20, 16, generator=DRAWN)), ids)
    assert [drawn[name].action for name in ("places", "table.weight", "tokens.weight")] == ["write"] * 3


class Bands(nn.Module):
    """Filters made of two numbers each, where a band begins and how wide it is (Ravanelli & Bengio, SincNet, 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.width = (
            nn.Parameter(torch.linspace(0.02, 0.4, 12)[:, None]),
            nn.Parameter(torch.ones(12, 1) / 20),
        )
        self.one, self.two = nn.Linear(12, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ticks, low = torch.arange(-10.0, 11.0), self.low.abs()
        high = low + self.width.abs()
        filters = 2 * high * torch.sinc(2 * high * ticks) - 2 * low * torch.sinc(2 * low * ticks)
        heard = nn.functional.conv1d(x, filters[:, None]).abs().mean(-1)
        out: torch.Tensor = self.two(self.one(heard).relu())
        return out


def test_numbers_in_order_that_filters_are_made_of_are_kept() -> None:
    plan = initlab.plan(Bands(), torch.randn(8, 1, 64))
    assert [plan[name].action for name in ("low", "width", "one.weight", "two.weight")] == [
        "keep",
        "keep",
        "write",
        "write",
    ]


def gated(kind: type[nn.RNNBase], of: str, gate: int, numbers: float | torch.Tensor) -> nn.RNNBase:
    layer = kind(16, 16, batch_first=True)
    for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
        nn.init.zeros_(bias)
    with torch.no_grad():
        getattr(layer, of)[16 * gate : 16 * (gate + 1)] = numbers
    return layer


CHRONO = torch.empty(16).uniform_(1, 50, generator=torch.Generator().manual_seed(4)).log()


@pytest.mark.parametrize(
    "layer",
    [
        gated(nn.LSTM, "bias_ih_l0", 1, CHRONO),
        gated(nn.LSTM, "bias_hh_l0", 1, 2.5),
        gated(nn.GRU, "bias_ih_l0", 1, 1.5),
        gated(nn.GRU, "bias_hh_l0", 1, -1.0),
    ],
    ids=["chrono", "forget gate in the second", "update gate", "update gate in the second"],
)
def test_gates_of_recurrent_layers_that_an_author_biased_are_kept(layer: nn.RNNBase) -> None:
    before = layer.bias_ih_l0 + layer.bias_hh_l0
    plan = initlab.init_(layer, example_inputs=X)
    assert torch.equal(layer.bias_ih_l0 + layer.bias_hh_l0, before)
    assert sorted((plan["bias_ih_l0"].code, plan["bias_hh_l0"].code)) == ["special_bias", "zero"]


def test_a_forget_bias_that_is_asked_for_goes_before_the_authors() -> None:
    layer = gated(nn.LSTM, "bias_hh_l0", 1, 2.5)
    initlab.init_(layer, initlab.get_policy("auto", forget_bias=3.0), example_inputs=X)
    assert (layer.bias_ih_l0 + layer.bias_hh_l0)[16:32].tolist() == [3.0] * 16


@pytest.mark.parametrize("draw", [nn.init.normal_, lambda b: nn.init.constant_(b, 0.3)], ids=["normal", "all one"])
def test_biases_of_recurrent_layers_that_were_drawn_whole_are_no_purpose(draw: Callable[[torch.Tensor], None]) -> None:
    layer = nn.LSTM(16, 16, batch_first=True)
    for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
        draw(bias)
    plan = initlab.plan(layer, X)
    assert (plan["bias_ih_l0"].code, plan["bias_hh_l0"].code) == ("forget_gate", "zero")


class Warp(nn.Module):
    """A warp that begins as the identity, which the last bias of its network holds (Jaderberg et al., 2015)."""

    def __init__(self, std: float, rest: float | None = None) -> None:
        super().__init__()
        self.look, self.last = nn.Linear(192, 16), nn.Linear(16, 6)
        self.read, self.out = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)
        for layer in (self.last, *((self.look, self.read, self.out) if rest is not None else ())):
            nn.init.normal_(layer.weight, std=std if layer is self.last or rest is None else rest)
        self.last.bias = nn.Parameter(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        warp = self.last(self.look(x.flatten(1)).relu()).view(-1, 2, 3)
        grid = nn.functional.affine_grid(warp, list(x.shape), align_corners=False)
        seen = nn.functional.grid_sample(x, grid, align_corners=False)
        out: torch.Tensor = self.out(self.read(seen).relu().mean((2, 3)))
        return out


@pytest.mark.parametrize(("std", "rest", "codes"), [
    (1e-3, None, ("own", "special_bias")),
    (0.25, None, ("fed", "special_bias")),
    (1e-3, 1e-3, ("fed", "special_bias")),
], ids=["next to nothing", "as large as others", "as small as others"])  # fmt: skip
def test_a_weight_of_next_to_nothing_beside_a_special_bias_is_kept(
    std: float, rest: float | None, codes: tuple[str, str]
) -> None:
    plan = initlab.plan(Warp(std, rest), torch.randn(8, 3, 8, 8))
    assert (plan["last.weight"].code, plan["last.bias"].code) == codes


class Loose(nn.Module):
    """Weights and vectors that one module holds: of two small weights one stands beside the vector of ones."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.apart = nn.Parameter(torch.randn(16, 16) / 1000), nn.Parameter(torch.randn(16, 16) / 1000)
        self.shift = nn.Parameter(torch.linspace(-4, -1, 16))
        self.into, self.also, self.out = (nn.Linear(16, 16) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = (self.into(x).tanh() @ self.small + self.shift).sigmoid()
        out: torch.Tensor = self.out(gate * (self.also(x).tanh() @ self.apart).relu())
        return out


def test_a_small_weight_that_no_special_bias_stands_beside_is_drawn() -> None:
    plan = initlab.plan(Loose(), X)
    assert (plan["small"].action, plan["shift"].action, plan["apart"].action) == ("keep", "keep", "write")


class Couplings(nn.Module):
    """Two couplings of a flow (Dinh et al., Real NVP, 2017), each made by two layers, the last zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16)) for _ in range(2))
        for net in self.nets:
            nn.init.zeros_(net[2].weight)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        volume = torch.zeros(())
        for net in self.nets:
            still, moved = x.chunk(2, -1)
            shift, scale = net(still).chunk(2, -1)
            x = torch.cat([moved * scale.tanh().exp() + shift, still], -1)
            volume = volume + scale.tanh().sum(-1)
        return x, volume


def test_zeros_that_end_each_coupling_are_kept_though_they_are_half_of_all() -> None:
    plan = initlab.plan(Couplings(), X[:, 0])
    assert [plan[f"nets.{i}.{j}.weight"].code for i in (0, 1) for j in (0, 2)] == ["fed", "zero_on_purpose"] * 2
