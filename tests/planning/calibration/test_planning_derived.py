"""A plan where no pass can run: rules alone bring outputs to their targets, on the meta device as a pass does."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tokens import IDS, Tokens, batch
from torch import nn

import initlab
from initlab.planning.calibration import correcting

F = nn.functional


class Untied(Tokens):
    """The same with a head of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(32, 100, bias=False)


class Undivided(nn.Module):
    """Attention whose scores nothing divides by √d, in a gated unit, before a read-out."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.queries, self.keys, self.values = nn.LayerNorm(32), *(nn.Linear(32, 32) for _ in range(3))
        self.gate, self.out, self.head = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        scores = (self.queries(y) @ self.keys(y).transpose(1, 2)).softmax(-1)
        return self.head((x + self.out(torch.sigmoid(self.gate(y)) * (scores @ self.values(y)))).mean(1))


class Masked(Untied):
    """Its forward looks at the mask that it is given, and routes by what its layers make."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if mask is not None and bool(mask.all()):
            mask = None
        y = self.stream(ids)
        first = y.topk(1).indices.bool()
        for block, own in zip(self.blocks, (first, ~first), strict=True):
            if own.any():
                y = torch.where(own, block(y), y)
        return self.head(self.norm(y))


class Padded(nn.Module):
    """Attention that a causal mask and a mask of padding close, both of which say what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(100, 32), nn.Linear(32, 100)
        self.mixer, self.norm = nn.Linear(32, 96), nn.LayerNorm(32)
        self.out = nn.Linear(32, 32)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        open_ = (
            torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril() & mask[:, None].bool()
        )
        read = open_ if not bool(mask.all()) else open_.all(0)
        q, k, v = self.mixer(self.norm(x)).chunk(3, -1)
        return self.head(x + self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=read)))


class Causal(nn.Module):
    """Heads that share their keys and values, behind a mask that is made where the stream lies."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.norm, self.head = nn.Embedding(100, 32), nn.LayerNorm(32), nn.Linear(32, 100)
        self.queries, self.both, self.out = nn.Linear(32, 32), nn.Linear(32, 16), nn.Linear(32, 32)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        y = self.norm(x)
        queries, (keys, values) = self.queries(y).unflatten(-1, (4, 8)).transpose(1, 2), self.both(y).chunk(2, -1)
        closed = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=x.device).triu(1)
        scores = (torch.einsum("bhid,bjd->bhij", queries, keys) / math.sqrt(8)).masked_fill(closed, -math.inf)
        read = torch.einsum("bhij,bjd->bhid", scores.softmax(-1), values)
        return self.head(x + self.out(read.transpose(1, 2).flatten(2)))


def layers() -> nn.Module:
    """Attention in one call, the end of a branch."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
    return nn.Sequential(nn.Linear(32, 32), layer, nn.LayerNorm(32), nn.Linear(32, 10))


CASES: dict[str, tuple[Callable[[], nn.Module], object]] = {
    "tied": (Tokens, IDS),
    "untied": (Untied, IDS),
    "undivided": (Undivided, batch(16, 12, 32)),
    "plain": (lambda: nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10)), batch(256, 32)),
    "data of another size": (
        lambda: nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10)),
        3 * batch(256, 32),
    ),
    "heads that share keys": (Causal, IDS),
    "attention in one call": (layers, batch(64, 12, 32)),
    "causal and padded": (Padded, {"ids": IDS, "mask": torch.arange(16) < torch.randint(8, 17, (8, 1))}),
    "numbers read": (Masked, {"ids": IDS, "mask": torch.ones_like(IDS)}),
}


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


@pytest.mark.parametrize("case", CASES)
def test_sizes_are_near_those_that_a_pass_measures(case: str) -> None:
    build, given = CASES[case]
    without, measured = initlab.plan(on_meta(build), given), initlab.plan(build(), given)
    for entry in measured.entries:
        other = without[entry.name]
        assert other.action == entry.action
        assert (other.std or 0.0) == pytest.approx(entry.std or 0.0, rel=0.3), (entry, other)
        assert other.measured is None


def test_the_plan_says_that_rules_corrected_it() -> None:
    plan = initlab.plan(on_meta(Tokens), IDS)
    assert plan["positions.weight"].known == "derived"
    assert plan["positions.weight"].correction < 0.2
    assert "a share of what it is added to" in plan["positions.weight"].reason
    assert "derived 1 for 0.1" in initlab.plan(on_meta(Undivided), batch(16, 12, 32))["gate.weight"].reason
    assert any("rules set sizes" in warning for warning in plan.warnings)


def test_what_is_written_after_a_plan_on_meta_begins_at_a_uniform_guess() -> None:
    plan, model = initlab.plan(on_meta(Tokens), IDS), Tokens()
    initlab.init_(model, plan, seed=1)
    loss = F.cross_entropy(model(IDS).flatten(0, 1), IDS.roll(1, 1).flatten())
    assert loss.item() == pytest.approx(math.log(100), rel=0.05)


def test_a_model_that_is_too_large_for_a_pass_is_sized_by_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correcting, "LARGEST", 10)
    plan, without = initlab.plan(Tokens(), IDS), initlab.plan(on_meta(Tokens), IDS)
    for entry in plan.entries:
        assert entry.std == pytest.approx(without[entry.name].std, rel=0.05)


def test_what_is_kept_without_values_is_said() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.decay = nn.Linear(8, 8), nn.Parameter(torch.zeros(8))
            self.register_buffer("steps", torch.arange(8.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * torch.exp(-self.decay.exp() * self.steps)

    said = " ".join(initlab.plan(on_meta(Scaled), batch(4, 8)).warnings)
    assert "2 parameters and buffers are kept that have no values on the meta device, decay first" in said
    assert "meta" not in " ".join(initlab.plan(Scaled(), batch(4, 8)).warnings)


def test_what_steps_begin_at_is_kept_where_it_cannot_be_read() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps, self.inner, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(F.softplus(self.inner(F.softplus(self.steps(x)) * x)))

    plan = initlab.plan(on_meta(Steps), batch(16, 8))
    assert plan["steps.bias"].code == "special_bias"
    assert {plan["inner.bias"].action, plan["out.bias"].action} == {"write"}


class Experts(nn.Module):
    """Routed experts in stacks, each with a bias of its own, beside one that all positions share."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.router, self.shared = nn.LayerNorm(16), nn.Linear(16, 4, bias=False), nn.Linear(16, 16)
        self.up, self.down = (nn.Parameter(torch.randn(4, 16, 16)) for _ in range(2))
        self.bias, self.last_bias = (nn.Parameter(torch.zeros(4, 16)) for _ in range(2))

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        shares, chosen = self.router(y).softmax(-1).max(-1)
        inner = F.silu(torch.einsum("ni,nij->nj", y, self.up[chosen]) + self.bias[chosen])
        routed = torch.einsum("ni,nij->nj", inner, self.down[chosen]) + self.last_bias[chosen]
        return shares[:, None] * routed + self.shared(y)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


class Routed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.norm = nn.Sequential(Experts(), Experts(), Experts()), nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(x)))


def test_experts_that_numbers_pick_are_weights_and_their_biases_zero() -> None:
    for model in (Routed(), on_meta(Routed)):
        plan = initlab.plan(model, batch(64, 16))
        for block in range(3):
            assert plan[f"blocks.{block}.up"].code == plan[f"blocks.{block}.down"].code == "fed"
            assert plan[f"blocks.{block}.up"].std == pytest.approx(0.25, rel=0.01)
            assert plan[f"blocks.{block}.last_bias"].code == "table_of_zeros"


def test_routed_and_shared_experts_join_the_stream_together() -> None:
    model, x = Routed(), batch(256, 16)
    plan = initlab.init_(model, example_inputs=x, seed=0)
    for block in range(3):
        assert "end residual branches" in plan[f"blocks.{block}.shared.weight"].reason
        made = model.blocks[block].branch(x).detach()
        assert made.square().mean() / x.square().mean() == pytest.approx(1 / 6, rel=0.3)
        x = x + made


class RMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


def test_a_norm_behind_a_factor_without_a_value_is_one() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.norm, self.head = nn.Embedding(100, 32), RMSNorm(), nn.Linear(32, 100)
            self.register_buffer("scale", torch.tensor(32**0.5))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.tokens(ids) * self.scale))

    assert initlab.plan(on_meta(Scaled), IDS)["norm.weight"].role == "norm_weight"


@pytest.mark.parametrize("case", CASES)
def test_a_device_that_is_entered_outside_changes_no_plan(case: str) -> None:
    build, given = CASES[case]
    model = on_meta(build)
    plan = initlab.plan(model, given)
    with torch.device("meta"):
        inside = initlab.plan(model, given)
    assert [(entry.std, entry.reason) for entry in inside.entries] == [(e.std, e.reason) for e in plan.entries]
