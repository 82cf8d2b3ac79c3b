"""Scales and centres that their author set on purpose are kept."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

import initlab

F = nn.functional
X = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))


class Contrast(nn.Module):
    """Normalised features times a temperature (CLIP)."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(16, 8), nn.Linear(16, 8)
        self.temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = F.normalize(self.left(x), dim=-1), F.normalize(self.right(x), dim=-1)
        return self.temperature.exp() * left @ right.T


class Warm(Contrast):
    """The same at e, which torch.tensor(1.0) begins at (x-clip)."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.ones_(self.temperature)


class Branch(nn.Module):
    """A residual branch whose last norm begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(16, 16), nn.Linear(16, 16)
        self.norm_one, self.norm_two = nn.BatchNorm1d(16), nn.BatchNorm1d(16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm_two(self.two(F.relu(self.norm_one(self.one(x)))))


class Residual(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(16), Branch(), Branch(), nn.Linear(16, 4))
        for branch in (self[1], self[2]):
            nn.init.zeros_(branch.norm_two.weight)


class Closed(nn.Sequential):
    """Every branch of it ends in a norm of zeros (Liu et al., Swin Transformer V2, 2022): most norms are."""

    def __init__(self) -> None:
        super().__init__(*(AfterNorm() for _ in range(3)), nn.LayerNorm(16), nn.Linear(16, 4))


class AfterNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.norm = nn.Linear(16, 32), nn.Linear(32, 16), nn.LayerNorm(16)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm(self.two(F.gelu(self.one(x))))


class Centres(nn.Module):
    """Radial functions around centres that were spread over the data."""

    def __init__(self) -> None:
        super().__init__()
        self.centre, self.last = nn.Parameter(torch.randn(24, 16)), nn.Linear(24, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.exp(-(x[:, None] - self.centre).square().mean(-1)))


class Variances(nn.Module):
    """A layer whose weights have variances, of which a start lies far below one (Blundell et al., 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.rho = nn.Parameter(torch.randn(4, 16) / 4), nn.Parameter(torch.full((4, 16), -5.0))
        self.rho.data += 0.1 * torch.randn(4, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = F.linear(x, self.mean)
        return made + F.linear(x**2, F.softplus(self.rho) ** 2).sqrt() * torch.randn_like(made)


class Explores(nn.Linear):
    """A layer with noise on its weights, whose scales the recorded pass does not use (Fortunato et al., 2018)."""

    def __init__(self) -> None:
        super().__init__(16, 4)
        self.weight_sigma = nn.Parameter(torch.full((4, 16), 0.125))


class Inducing(nn.Module):
    """A kernel between inputs and points of their own space (Titsias, 2009)."""

    def __init__(self) -> None:
        super().__init__()
        self.points, self.last = nn.Parameter(torch.randn(8, 16)), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.points, x])
        made: torch.Tensor = self.last(torch.exp(-torch.cdist(both, both))[8:, :8])
        return made


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (Variances, ["rho"]),
        (Explores, ["weight_sigma"]),
        (Inducing, ["points"]),
        (Contrast, ["temperature"]),
        (Warm, ["temperature"]),
        (Residual, ["1.norm_two.weight", "2.norm_two.weight"]),
        (Closed, ["0.norm.weight", "1.norm.weight", "2.norm.weight"]),
        (Centres, ["centre"]),
    ],
)
def test_what_was_set_on_purpose_is_kept(build: Callable[[], nn.Module], names: list[str]) -> None:
    model = build()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    plan = initlab.init_(model, example_inputs=X)
    after = dict(model.named_parameters())
    assert [name for name in names if plan[name].action != "keep"] == []
    assert [name for name in names if not torch.equal(before[name], after[name])] == []


@pytest.mark.parametrize("value", [0.0, 1e-38, math.nan])
def test_memory_that_nobody_wrote_is_no_purpose(value: float) -> None:
    norms, contrast = Residual(), Contrast()
    for model in (norms, contrast):
        for parameter in model.parameters():
            nn.init.constant_(parameter, value)
        initlab.init_(model, example_inputs=X)
    assert all(bool((module.weight > 0.1).all()) for module in norms.modules() if isinstance(module, nn.BatchNorm1d))
    assert contrast.temperature.item() == 0.0  # the scale that is made of it is one


class Coefficients(nn.Module):
    """c₀·sin(c₁·x + c₂) + c₃ with coefficients of each feature in one table (Kolmogorov-Arnold networks)."""

    def __init__(self) -> None:
        super().__init__()
        self.affine = nn.Parameter(torch.zeros(16, 4))
        self.read = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c = self.affine
        return self.read(x + c[:, 0] * torch.sin(c[:, 1] * x + c[:, 2]) + c[:, 3])


def test_coefficients_of_a_function_are_no_positions() -> None:
    model = Coefficients()
    plan = initlab.init_(model, example_inputs=torch.randn(32, 16))
    assert plan["affine"].code == "own"
    assert not model.affine.any()


class Streams(nn.Module):
    """Streams that an identity mixes beside one that is picked out (Zhu et al., Hyper-connections, 2024)."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.place = nn.Parameter(torch.eye(4, 5)), nn.Parameter(torch.randn(4, 16))
        self.moving, self.filter = nn.Linear(16, 5), nn.Conv1d(1, 1, 5, padding=2, bias=False)
        self.out = nn.Linear(80, 4)
        with torch.no_grad():
            self.filter.weight.copy_(torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.filter(x[:, None]) + self.place
        mix = torch.tanh(self.moving(x)) + self.mix
        return self.out(torch.einsum("bsm,bsd->bmd", mix, x).flatten(1))


def test_patterns_of_a_few_numbers_are_kept_and_draws_are_not() -> None:
    plan = initlab.plan(Streams(), X)
    kept = {name: plan[name].code for name in ("mix", "filter.weight")}
    assert kept == {"mix": "pattern", "filter.weight": "pattern"}
    assert [plan[name].action for name in ("place", "moving.weight", "out.weight")] == ["write"] * 3


class Experts(nn.Module):
    """Stacked experts, whose biases are rows of one tensor, a gate that begins open, and the mean of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.up_bias = nn.Parameter(torch.randn(4, 16, 8) / 4), nn.Parameter(torch.zeros(4, 1, 8))
        self.down, self.mean = nn.Parameter(torch.randn(4, 8, 16) / 3), nn.Parameter(torch.tensor(3.5))
        self.gate, self.out = nn.Linear(16, 16), nn.Linear(16, 1)
        nn.init.ones_(self.gate.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.bmm(x.expand(4, -1, -1), self.up) + self.up_bias
        x = torch.bmm(F.gelu(hidden), self.down).mean(0)
        return self.out(x * self.gate(x)) + self.mean


def test_biases_of_experts_are_drawn_and_numbers_that_no_layer_draws_are_kept() -> None:
    plan = initlab.plan(Experts(), X)
    roles = {name: (plan[name].role, plan[name].code) for name in ("up_bias", "gate.bias", "mean")}
    assert roles == {
        "up_bias": ("bias", "spread"),
        "gate.bias": ("bias", "special_bias"),
        "mean": ("bias", "special_bias"),
    }
    assert plan["out.bias"].code == "zero"


class Rates(nn.Module):
    """A state-space mixer whose steps and rates, one a state, are shares after a softmax (Lee et al., 2025)."""

    def __init__(self, rates: torch.Tensor) -> None:
        super().__init__()
        self.steps, self.last, self.rates = nn.Linear(32, 24), nn.Linear(32, 5), nn.Parameter(rates)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = (self.steps(x) + self.rates).softmax(-2)
        return self.last((shares.transpose(-2, -1) @ x).mean(-2))


@pytest.mark.parametrize(
    ("rates", "code"),
    [
        (1 + 15 * torch.rand(24, generator=torch.Generator().manual_seed(0)), "special_bias"),
        (-torch.arange(1.0, 25.0), "special_bias"),
        (0.02 * torch.randn(24, generator=torch.Generator().manual_seed(0)), "zero"),
        (torch.full((24,), 1e30), "zero"),
    ],
    ids=["uniform", "a range", "a draw around zero", "memory that nobody wrote"],
)
def test_numbers_of_one_sign_that_no_layer_draws_are_kept(rates: torch.Tensor, code: str) -> None:
    x = torch.randn(8, 12, 32, generator=torch.Generator().manual_seed(1))
    assert initlab.plan(Rates(rates), x)["rates"].code == code


def test_a_rotation_among_other_weights_is_kept() -> None:
    turned = nn.Linear(16, 16, bias=False)
    nn.init.orthogonal_(turned.weight)
    net = nn.Sequential(turned, nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    assert [initlab.plan(net, X)[f"{i}.weight"].code for i in (0, 1, 3)] == ["rotation", "fed", "fed"]
    for layer in (net[1], net[3]):
        nn.init.orthogonal_(layer.weight)
    assert initlab.plan(net, X)["0.weight"].code == "fed", "an orthogonal start of all weights is a scheme like others"


class Composed(nn.Linear):
    """A matrix that is composed of triangular factors (Kingma & Dhariwal, 2018, eq. 10)."""

    def __init__(self) -> None:
        super().__init__(16, 16, bias=False)
        rotation, lower, upper = torch.linalg.lu(nn.init.orthogonal_(torch.empty(16, 16)))
        del self.weight
        self.register_buffer("rotation", rotation)
        self.lower, self.upper = nn.Parameter(lower), nn.Parameter(upper)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lower = self.lower.tril(-1) + torch.eye(16)
        return F.linear(x, self.rotation @ lower @ self.upper.triu())


def test_the_triangular_factors_of_a_matrix_are_kept() -> None:
    net = nn.Sequential(Composed(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    before = {name: p.detach().clone() for name, p in net[0].named_parameters()}
    initlab.init_(net, example_inputs=X)
    assert all(torch.equal(p, before[name]) for name, p in net[0].named_parameters())


class Detector(nn.Module):
    """Scores and sizes at two scales side by side; classes are rare at first, as their bias says."""

    def __init__(self, rest: float = 0.0) -> None:
        super().__init__()
        self.body = nn.ModuleList(nn.Conv2d(3, 16, 3, stride) for stride in (2, 4))
        self.scores, self.sizes = nn.Conv2d(16, 5, 1), nn.Conv2d(16, 4, 1)
        for layer in (*self.body, self.sizes):
            nn.init.constant_(layer.bias, rest)
        nn.init.constant_(self.scores.bias, -4.6)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        levels = [layer(x).relu() for layer in self.body]
        return [torch.cat([self.sizes(level), self.scores(level)], 1).flatten(2) for level in levels]


def test_the_shares_of_classes_that_a_bias_holds_are_kept() -> None:
    x = torch.randn(2, 3, 32, 32)
    plan = initlab.plan(Detector(), x)
    assert {name: plan[name].code for name in ("scores.bias", "sizes.bias", "body.0.bias")} == {
        "scores.bias": "special_bias",
        "sizes.bias": "zero",
        "body.0.bias": "spread",
    }
    assert initlab.plan(Detector(rest=-4.6), x)["scores.bias"].code == "zero", "a number that all biases begin with"


class Rows(nn.Module):
    """Hidden numbers embedded each by its own row, h·w + b, and places told apart by what is added."""

    def __init__(self) -> None:
        super().__init__()
        self.row, self.shift = nn.Parameter(torch.randn(8, 16)), nn.Parameter(torch.zeros(8, 16))
        self.places = nn.Parameter(torch.zeros(8, 16))
        self.mixes = nn.ParameterList(torch.eye(8) for _ in range(2))
        self.hidden, self.last = nn.Linear(8, 8), nn.Linear(16, 3)
        self.first, self.next = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.hidden(x).relu()
        h = self.next(self.first(x[..., None] * self.row + self.shift).relu()) + self.places
        for mix in self.mixes:
            h = mix @ h.relu()
        out: torch.Tensor = self.last(h.mean(1))
        return out


def test_a_shift_beside_a_factor_is_a_bias_and_patterns_may_be_alike() -> None:
    plan = initlab.init_(Rows(), example_inputs=torch.randn(32, 8))
    assert (plan["shift"].code, plan["places"].code) == ("zero", "added")
    assert {plan[f"mixes.{i}"].code for i in (0, 1)} == {"pattern"}
    assert not plan.warnings, "identities that are alike were made so"


class Doubled(nn.Module):
    """A signal that is added to itself again and again, and then shifted."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.shift = nn.Linear(16, 16), nn.Parameter(torch.zeros(5, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x)
        for _ in range(40):
            x = x + x
        return x + self.shift


def test_a_shift_after_many_sums_is_planned_at_once() -> None:
    """Each sum is looked at once: there are 2^40 ways back through them."""
    assert initlab.plan(Doubled(), torch.randn(8, 5, 16))["shift"].code != "zero"


class Speedrun(nn.Module):
    """As GPTs are trained for records: zeros end each branch and read out, numbers picked from rows mix streams."""

    def __init__(self, within: bool = True) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(32, 16), nn.Linear(16, 32, bias=False)
        self.into = nn.ModuleList([nn.Linear(16, 64, bias=False) for _ in range(3)])
        self.out = nn.ModuleList([nn.Linear(64, 16, bias=False) for _ in range(3)])
        self.mix = nn.ParameterList([nn.Parameter(torch.tensor([1.0, 0.0])) for _ in range(3)])
        self.skips, self.streams = nn.Parameter(torch.ones(2)), nn.Parameter(torch.full((3,), 0.9))
        for layer in (self.head, *self.out, *(() if within else self.into)):
            nn.init.zeros_(layer.weight)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        first = x = F.rms_norm(self.embed(tokens), (16,))
        for place, (into, out) in enumerate(zip(self.into, self.out, strict=True)):
            x = self.mix[place][0] * x + self.mix[place][1] * first
            if place:
                x = x + self.skips[place - 1] * x
            x = self.streams[place] * x + out(F.relu(into(F.rms_norm(x, (16,)))).square())
        return 30 * torch.sigmoid(self.head(F.rms_norm(x, (16,))) / 30)


def test_zeros_that_end_each_branch_are_kept_though_they_are_half_of_all() -> None:
    tokens = torch.arange(32).reshape(2, 16)
    model = Speedrun()
    initlab.init_(model, example_inputs=tokens)
    assert not any(layer.weight.any() for layer in (model.head, *model.out))
    assert all(layer.weight.std() > 0.1 for layer in model.into)


def test_where_what_branches_begin_with_is_zero_too_zeros_are_no_choice() -> None:
    tokens = torch.arange(32).reshape(2, 16)
    model = Speedrun(within=False)
    initlab.init_(model, example_inputs=tokens)
    assert all(layer.weight.any() for layer in (model.head, *model.out, *model.into))


def test_numbers_that_are_picked_from_a_row_are_no_scales_of_norms() -> None:
    tokens = torch.arange(32).reshape(2, 16)
    model = Speedrun()
    initlab.init_(model, example_inputs=tokens)
    assert [row.tolist() for row in model.mix] == [[1.0, 0.0]] * 3
    assert model.skips.tolist() == [1.0, 1.0]
    assert model.streams.tolist() == pytest.approx([0.9] * 3)


class LowRankKeys(nn.Module):
    """Attention whose keys are made in two steps, the first of them zero."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.value, self.last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.down, self.up = nn.Linear(16, 4, bias=False), nn.Linear(4, 16, bias=False)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.query(x) @ self.up(self.down(x)).transpose(-1, -2)
        return self.last(scores.softmax(-1) @ self.value(x))


def test_scores_of_keys_that_are_zero_are_counted_with() -> None:
    """Zeros kept before a product of products: no law has any size there."""
    plan = initlab.plan(LowRankKeys(), torch.randn(8, 6, 16))
    assert "kept at zero" in plan["down.weight"].reason
    assert plan["last.weight"].std


class FlowStep(nn.Module):
    """A step of Glow (Kingma & Dhariwal, 2018): a shift, a rotation whose determinant counts, a coupling."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, 4, 1, 1))
        self.turn = nn.Parameter(torch.linalg.qr(torch.randn(4, 4))[0])
        self.coupling = nn.Sequential(nn.Conv2d(2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 2, 3, padding=1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        one, two = F.conv2d(x + self.shift, self.turn[:, :, None, None]).chunk(2, 1)
        return torch.cat([one, two + self.coupling(one)], 1), torch.linalg.slogdet(self.turn)[1]


def test_a_rotation_whose_determinant_counts_and_a_channels_shift_are_kept() -> None:
    model = FlowStep()
    turn = model.turn.detach().clone()
    initlab.init_(model, example_inputs=torch.randn(16, 4, 8, 8))
    assert torch.equal(model.turn, turn)
    assert not model.shift.any()


class Chain(nn.Module):
    """The partition function of a chain of labels; transitions to the first of them are forbidden."""

    def __init__(self) -> None:
        super().__init__()
        self.scores, self.transitions = nn.Linear(16, 5), nn.Parameter(torch.randn(5, 5))
        with torch.no_grad():
            self.transitions[:, 0] = -10_000.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.scores(x)
        total = scores[:, 0]
        for step in range(1, scores.shape[1]):
            total = torch.logsumexp(total[:, :, None] + self.transitions + scores[:, step, None], 1)
        return torch.logsumexp(total, 1)


def test_numbers_that_forbid_are_kept() -> None:
    model = Chain()
    before = model.transitions.detach().clone()
    initlab.init_(model, example_inputs=torch.randn(8, 6, 16))
    assert torch.equal(model.transitions, before)


class Adapted(nn.Module):
    """A frozen layer, with an adapter behind it whose last matrix is drawn at std 10⁻³ (Houlsby et al., 2019)."""

    def __init__(self, frozen: bool) -> None:
        super().__init__()
        self.layer, self.read = (
            nn.Linear(16, 32).requires_grad_(not frozen),
            nn.Linear(32, 4).requires_grad_(not frozen),
        )
        self.down, self.up = nn.Linear(32, 8), nn.Linear(8, 32)
        nn.init.normal_(self.up.weight, std=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)
        return self.read(h + self.up(F.gelu(self.down(h))))


@pytest.mark.parametrize("frozen", [True, False])
def test_an_adapter_that_adds_next_to_nothing_beside_frozen_weights_is_kept(frozen: bool) -> None:
    model = Adapted(frozen)
    initlab.init_(model, example_inputs=X)
    assert (float(model.up.weight.detach().std()) < 2e-3) is frozen


def test_a_frozen_magnitude_is_kept() -> None:
    """At one, in a head of prototypes of unit length (Caron et al., DINO, 2021)."""
    head = nn.utils.parametrizations.weight_norm(nn.Linear(16, 4, bias=False))
    magnitude = head.parametrizations["weight"].original0
    magnitude.data.fill_(1.0)
    magnitude.requires_grad_(False)
    initlab.init_(nn.Sequential(nn.LayerNorm(16), head), example_inputs=X)
    assert bool((magnitude == 1).all())


class LowRank(nn.Module):
    """A linear layer with a low-rank adapter, called as LoRA's."""

    def __init__(self, frozen: bool, up: torch.Tensor | None) -> None:
        super().__init__()
        self.base, self.read = nn.Linear(16, 24), nn.Linear(24, 4)
        self.lora_A, self.lora_B = nn.Linear(16, 4, bias=False), nn.Linear(4, 24, bias=False)
        if up is not None:
            self.lora_B.weight.data = up
        for part in (self.base, self.read):
            part.requires_grad_(not frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read(F.relu(self.base(x) + self.lora_B(self.lora_A(x))))


def principal(rows: int) -> torch.Tensor:
    """A weight's first left singular vectors, times the roots of its singular values (Meng et al., PiSSA, 2024)."""
    left, values, _ = torch.linalg.svd(nn.Linear(16, rows).weight.detach(), full_matrices=False)
    return left[:, :4] * values[:4].sqrt()


@pytest.mark.parametrize(
    ("frozen", "up", "kept"),
    [
        (True, "principal", True),
        (True, "trained", True),
        (True, "drawn by torch", False),
        (True, "zero", False),
        (True, "unwritten", False),
        (False, "principal", False),
    ],
)
def test_an_adapter_that_holds_a_part_of_a_frozen_model_is_kept(frozen: bool, up: str, kept: bool) -> None:
    ups = {
        "principal": principal(24),
        "trained": 0.01 * torch.randn(24, 4),
        "drawn by torch": None,
        "zero": torch.zeros(24, 4),
        "unwritten": torch.full((24, 4), 1e-40),
    }
    model = LowRank(frozen, ups[up])
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    plan = initlab.init_(model, example_inputs=X)
    for name in ("lora_A.weight", "lora_B.weight"):
        assert torch.equal(before[name], model.get_parameter(name)) is (kept or (up == "zero" and "B" in name)), name
        assert ("a part of the model" in plan[name].reason) is kept


class ThreeFactors(nn.Module):
    """B · E · A x, with E zero between two factors that are drawn (Zhang et al., AdaLoRA, 2023)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(16, 24).requires_grad_(False)
        self.lora_A, self.lora_E = nn.ParameterDict(), nn.ParameterDict()
        self.lora_B = nn.ParameterDict()
        self.lora_A["default"], self.lora_E["default"] = (
            nn.Parameter(0.02 * torch.randn(4, 16)),
            nn.Parameter(torch.zeros(4, 1)),
        )
        self.lora_B["default"] = nn.Parameter(0.02 * torch.randn(24, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        down = self.lora_A["default"] * self.lora_E["default"]
        return self.base(x) + x @ down.T @ self.lora_B["default"].T


def test_an_adapter_that_is_closed_between_its_factors_can_learn() -> None:
    """With a second factor of zeros too, every gradient would be zero for good."""
    model = ThreeFactors()
    initlab.init_(model, example_inputs=X)
    model(X).square().sum().backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


class ScaledUnits(nn.Module):
    """Units of length one times a learned scale that the code multiplies by a number (Loshchilov et al., 2024)."""

    def __init__(self, start: float, factor: float) -> None:
        super().__init__()
        self.inner, self.last, self.factor = nn.Linear(16, 32), nn.Linear(32, 5), factor
        self.scale = nn.Parameter(torch.full((32,), start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.normalize(self.inner(x), dim=-1) * (self.scale * self.factor).view(1, -1))


@pytest.mark.parametrize(
    ("start", "factor", "value"),
    [(1 / 8, 8.0, 1 / 8), (20.0, 0.05, 20.0), (1.0, 32**0.5, 1.0), (3.0, 8.0, 1.0)],
    ids=["one behind the number", "the same, below one", "a number that belongs to the signal", "neither"],
)
def test_a_scale_behind_a_number_of_the_code_starts_where_its_author_made_it_one(
    start: float, factor: float, value: float
) -> None:
    net = ScaledUnits(start, factor)
    x = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    initlab.init_(net, example_inputs=x)
    torch.testing.assert_close(net.scale.detach(), torch.full((32,), value))
    named = [finding for finding in initlab.audit(net, example_inputs=x).findings if finding.where == "scale"]
    assert not named


@pytest.mark.parametrize(("policy", "hidden", "kept"), [(0.01, 1.4, True), (1.0, 1.4, False), (0.01, 0.01, False)])
def test_a_policy_of_next_to_nothing_is_kept_where_other_weights_are_more(
    policy: float, hidden: float, kept: bool
) -> None:
    """As PPO draws its actor; a model that is small in every part was made so by mistake."""

    class Agent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
            self.actor, self.critic = nn.Linear(64, 4), nn.Linear(64, 1)
            for layer, gain in ((self.trunk[0], hidden), (self.trunk[2], hidden), (self.critic, hidden)):
                nn.init.orthogonal_(layer.weight, gain)
            nn.init.orthogonal_(self.actor.weight, policy)

        def forward(self, x: torch.Tensor) -> tuple[torch.distributions.Categorical, torch.Tensor]:
            seen = self.trunk(x)
            return torch.distributions.Categorical(logits=self.actor(seen)), self.critic(seen)

    plan = initlab.plan(Agent(), X)
    assert (plan["actor.weight"].action == "keep") == kept
    assert plan["critic.weight"].action == "write"
