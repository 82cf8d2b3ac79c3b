"""Roles by what a parameter does in the graph: tokens, packed heads, modulation, averages, recurrences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab

X = torch.randn(16, 12, 32, generator=torch.Generator().manual_seed(0))


class LateToken(nn.Module):
    """A class token that joins the sequence for attention and is then added to, as CaiT's."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.token = nn.Parameter(std * torch.randn(1, 1, 32))
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        token = self.token.expand(len(x), -1, -1)
        both = self.norm(torch.cat([token, x], 1))
        token = token + self.attention(token, both, both)[0]
        return self.head(token[:, 0])


class EarlyToken(LateToken):
    """One that joins the sequence before the first block, as ViT's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = self.norm(torch.cat([self.token.expand(len(x), -1, -1), x], 1))
        return self.head((both + self.attention(both, both, both)[0])[:, 0])


@pytest.mark.parametrize("kind", [LateToken, EarlyToken])
@pytest.mark.parametrize("std", [0.0, 0.02, 1.0])
def test_a_class_token_is_no_bias(kind: type[LateToken], std: float) -> None:
    entry = initlab.plan(kind(std), X)["token"]
    assert entry.std == 0.02


class MaskToken(EarlyToken):
    """One that takes the place of what is hidden, as BEiT's and MAE's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.arange(x.shape[1])[None, :, None] % 3 == 0
        x = torch.where(hidden, self.token, x)
        return self.head((x + self.attention(x, x, x)[0]).mean(1))


def test_a_mask_token_keeps_its_author_s_start_or_is_drawn_small() -> None:
    net = MaskToken(0.02)
    own = net.token.detach().clone()
    entry = initlab.init_(net, example_inputs=X)["token"]
    assert entry.code != "unknown_role"
    assert (entry.action == "keep" and torch.equal(net.token, own)) or 0 < (entry.std or 0) <= 0.1


class Packed(nn.Module):
    """Attention from one matrix, its rows in the order that `order` unpacks."""

    def __init__(self, order: str, heads: int = 4, size: int = 8) -> None:
        super().__init__()
        rows = {"grouped": (heads + 2) * size}.get(order, 3 * heads * size)
        self.qkv, self.out = nn.Linear(32, rows, bias=False), nn.Linear(heads * size, 32, bias=False)
        self.order, self.heads, self.size = order, heads, size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        made = self.qkv(x)
        if self.order in ("neox", "rotary"):  # per head: q, k, v beside one another
            q, k, v = made.view(b, t, self.heads, 3 * self.size).transpose(1, 2).chunk(3, -1)
        elif self.order == "bloom":  # a third axis of three
            q, k, v = (part.transpose(1, 2) for part in made.view(b, t, self.heads, 3, self.size).unbind(3))
        else:  # many queries, one key and one value
            made = made.view(b, t, self.heads + 2, self.size).transpose(1, 2)
            q, k, v = made[:, :-2], made[:, [-2]], made[:, [-1]]
            k, v = k.expand_as(q), v.expand_as(q)
        if self.order == "rotary":
            q, k = turned(q), turned(k)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(b, t, -1))


def turned(x: torch.Tensor) -> torch.Tensor:
    """A rotary position code on the first half of a head, whose own halves part and meet again."""
    first, rest = x[..., :4], x[..., 4:]
    angle = torch.arange(x.shape[-2])[:, None] / torch.tensor([1.0, 100.0, 1.0, 100.0])
    half = torch.cat([-first[..., 2:], first[..., :2]], -1)
    return torch.cat([first * angle.cos() + half * angle.sin(), rest], -1)


PACKED = [
    # order, fan_out of each block: what one input reaches
    ("neox", 32),
    ("rotary", 32),
    ("bloom", 32),
    ("grouped", None),
]


@pytest.mark.parametrize(("order", "fan_out"), PACKED)
def test_interleaved_heads_have_the_fans_of_their_blocks(order: str, fan_out: int | None) -> None:
    entry = initlab.plan(Packed(order), X, "xavier_normal")["qkv.weight"]
    assert entry.geometry is not None
    assert entry.geometry.packing is not None
    if fan_out is not None:
        assert entry.std == pytest.approx(math.sqrt(2 / (32 + fan_out)))
    else:  # queries reach 32 outputs, the key and the value 8 each
        parts = [(32, 2 / 64), (8, 2 / 40), (8, 2 / 40)]
        assert entry.std == pytest.approx(math.sqrt(sum(n * v for n, v in parts) / 48))


class Modulated(nn.Module):
    """A block whose scale, shift and gate are made from a condition by one linear layer (DiT)."""

    def __init__(self, zero: bool) -> None:
        super().__init__()
        self.modulation, self.norm = nn.Linear(32, 96), nn.LayerNorm(32, elementwise_affine=False)
        self.mlp, self.head = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)), nn.Linear(32, 10)
        if zero:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shift, scale, gate = self.modulation(F.silu(x.mean(1))).chunk(3, -1)
        made = self.norm(x) * (1 + scale[:, None]) + shift[:, None]
        return self.head(x + gate[:, None] * self.mlp(made))


def test_a_modulation_of_zeros_stays_zero_and_is_said() -> None:
    net = Modulated(zero=True)
    plan = initlab.init_(net, example_inputs=X)
    assert not net.modulation.weight.any()
    assert plan["modulation.weight"].code == "zero_on_purpose"


class Averaged(nn.Module):
    """Attention over many positions, its values averaged, projected; then all positions pooled before the head."""

    def __init__(self, pool: str) -> None:
        super().__init__()
        self.attention, self.norm = nn.MultiheadAttention(32, 4, batch_first=True), nn.LayerNorm(32)
        self.inner, self.head, self.pool = nn.Linear(32, 64), nn.Linear(64, 10), pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.inner(self.norm(self.attention(x, x, x)[0])))
        x = x.transpose(1, 2)
        pooled = F.adaptive_avg_pool1d(x, 1) if self.pool == "avg" else F.adaptive_max_pool1d(x, 1)
        return self.head(pooled[..., 0])


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_averages_are_measured(pool: str) -> None:
    net, found = Averaged(pool), {}
    initlab.init_(net, example_inputs=X)
    net.inner.register_forward_hook(lambda _, __, made: found.update(inner=made))
    logits = net(X)
    assert 0.5 < found["inner"].square().mean() < 2
    first = (logits.logsumexp(-1) - logits.mean(-1)).mean() / math.log(10)
    assert 1 - 1e-6 <= first <= 1.05


class AttentionOnly(nn.Module):
    """The projection after values were averaged over many positions, read by a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(32, 32) for _ in range(4))
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (layer(x).view(len(x), -1, 4, 8).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head(self.norm(self.out(mixed)))


def test_the_projection_after_averaged_values_gives_its_full_size() -> None:
    net, found = AttentionOnly(), {}
    initlab.init_(net, example_inputs=X.repeat(1, 5, 1))
    net.out.register_forward_hook(lambda _, __, made: found.update(out=made))
    net(X.repeat(1, 5, 1))
    assert 0.5 < found["out"].square().mean() < 2


class Unrolled(nn.Module):
    """An LSTM written out in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.hidden, self.head = nn.Linear(32, 64), nn.Linear(16, 64), nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, c = x.new_zeros(len(x), 16), x.new_zeros(len(x), 16)
        for t in range(x.shape[1]):
            i, f, g, o = (self.inputs(x[:, t]) + self.hidden(h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(h)


def test_planning_an_unrolled_recurrence_makes_three_passes_whatever_its_length() -> None:
    """Passes are what a plan of a recurrence costs: the recording, and at most two that calibrate."""
    for length in (12, 120):
        net, passes = Unrolled(), []
        net.inputs.register_forward_hook(lambda *_, passes=passes: passes.append(1))
        plan = initlab.plan(net, X.repeat(1, length // 12, 1))
        assert len(passes) <= 3 * length
        assert plan["hidden.weight"].std
        assert not [e for e in plan.entries if e.code == "unknown_role"]


class LearnedQueries(nn.Module):
    """Queries that attend to each other before they see the inputs, as in the first layer of DETR's decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.spare = nn.Parameter(torch.rand(5, 32)), nn.Linear(32, 32)
        self.among, self.across = (nn.MultiheadAttention(32, 4, batch_first=True) for _ in range(2))
        self.norm, self.last = nn.LayerNorm(32), nn.Linear(32, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        queries = self.queries.expand(len(x), -1, -1)
        queries = self.norm(queries + self.among(queries, queries, queries)[0])
        return self.last(queries + self.across(queries, x, x)[0])


def test_what_reads_learned_parameters_alone_is_not_said_to_be_unused() -> None:
    plan = initlab.plan(LearnedQueries(), torch.randn(4, 7, 32, generator=torch.Generator().manual_seed(0)))
    assert plan["among.in_proj_weight"].code == plan["among.out_proj.weight"].code == "fed_by_parameters"
    assert plan["spare.weight"].code == "unused"
