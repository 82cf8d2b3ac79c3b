"""What attention makes, against draws of the weights that make its queries, keys and values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.graph.test_graph_moments import Read
from torch import nn
from torch.nn import functional as F

import initlab
from initlab.graph import record

WIDTH, TOKENS, DRAWS = 32, 32, 40
Body = Callable[..., torch.Tensor]


class Attends(nn.Module):
    """A layer that makes queries, keys and values of what is given, and one that reads what a body makes of them."""

    def __init__(self, body: Body, before: Body = lambda x: x, twice: bool = False) -> None:
        super().__init__()
        self.body, self.before, self.twice = body, before, twice
        self.packed, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.again = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.last = nn.Linear(WIDTH, 1, bias=False)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        made = self.body(*self.packed(self.before(x)).chunk(3, -1), ids)
        if self.twice:
            made = self.body(*self.again(x + 0.3 * self.out(made)).chunk(3, -1), ids)
        return self.last(made)


def drawn(model: nn.Module, inputs: Callable[[], tuple[torch.Tensor, ...]]) -> float:
    """E[x²] of what the last layer reads, over draws of all others, each of which makes unit second moment."""
    seen: list[float] = []

    def to_unit(module: nn.Module, given: object, made: torch.Tensor) -> torch.Tensor:
        return made / made.square().mean().sqrt()

    def see(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        seen.append(float(given[0].square().mean()))

    torch.manual_seed(0)
    model.last.register_forward_pre_hook(see)
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and layer is not model.last:
            layer.register_forward_hook(to_unit)
    for _ in range(DRAWS):
        for weight in model.parameters():
            nn.init.normal_(weight)
        with torch.no_grad():
            model(*inputs())
    return sum(seen) / len(seen)


def given() -> tuple[torch.Tensor, ...]:
    ids = torch.arange(TOKENS).remainder(8).expand(4, TOKENS)
    return torch.randn(4, TOKENS, WIDTH), ids


def by_hand(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return (q @ k.transpose(-2, -1) / WIDTH**0.5).softmax(-1) @ v


def fused(**more: object) -> Body:
    return lambda q, k, v, ids: F.scaled_dot_product_attention(q, k, v, **more)


def masked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=(ids < 2)[:, None])


def normed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, scale=8.0)


def gated(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Scores plus products of other signals: the rows of both share their sizes."""
    scores = q @ k.transpose(-2, -1) / WIDTH**0.5 + q @ v.transpose(-2, -1) / WIDTH**0.5
    return scores.softmax(-1) @ v


def cached(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Keys and values behind those of a cache that is empty as yet."""
    return by_hand(q, torch.cat([torch.zeros(0), k], -2), torch.cat([torch.zeros(0), v], -2), ids)


def sunk(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Scores beside one more, which takes a share and gives nothing."""
    scores = torch.cat([q @ k.transpose(-2, -1) / WIDTH**0.5, 4 + q[..., :1]], -1)
    return scores.softmax(-1)[..., :-1] @ v


def padded(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x[:, :8], (0, 0, 0, TOKENS - 8))


CASES: dict[str, Attends] = {
    "keys and values of the same numbers": Attends(by_hand),
    "the same in one call": Attends(fused()),
    "a scale of its own": Attends(fused(scale=1.0)),
    "queries and keys of one length": Attends(normed),
    "a mask made of the inputs": Attends(masked),
    "an empty cache": Attends(cached),
    "a sink": Attends(sunk),
    "causal": Attends(fused(is_causal=True)),
    "rows of padding": Attends(fused(), padded),
    "sums of scores": Attends(gated),
    "beside attention, which makes positions alike": Attends(by_hand, twice=True),
    "beside causal attention, where early positions are read most": Attends(fused(is_causal=True), twice=True),
}


@pytest.mark.parametrize("case", CASES)
def test_attention_makes_what_draws_of_its_weights_make(case: str) -> None:
    torch.manual_seed(0)
    model = CASES[case]
    feeds = record(model, given()).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(
        drawn(model, given), rel=0.15
    )  # 40 draws: 3%; sizes that differ by place: 12%


def test_a_shift_that_a_sample_shares_makes_its_positions_alike() -> None:
    """x + b of unit size each, b one for all positions: their mean keeps half of b's, and of x one in a hundred."""
    model = Read(lambda c, a, b: (a + b[:, None]).mean(1), (8, 8), 8)
    feeds = record(model, (torch.randn(8, 100, 8), torch.randn(8, 8))).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(1.01, rel=0.02)


def test_a_norm_by_hand_leaves_positions_as_alike_as_they_were() -> None:
    def body(c: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        x = a + b[:, None]
        return (x * x.square().mean(-1, keepdim=True).add(1e-6).rsqrt()).mean(1)

    model = Read(body, (64, 64), 64)
    feeds = record(model, (torch.randn(8, 100, 64), torch.randn(8, 64))).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(0.505, rel=0.05)


class Block(nn.Module):
    """Attention by hand with dropout, padding of rows, and a stream behind ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.keys, self.values = (nn.Linear(16, 16) for _ in range(3))
        self.up, self.down, self.head = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.pad(x, (0, 0, 0, 2))
        scores = self.queries(x) @ self.keys(x).transpose(1, 2) / 4
        x = torch.relu(x) + nn.functional.dropout(scores.softmax(-1), 0.1) @ self.values(x)
        out: torch.Tensor = self.head(torch.relu(torch.relu(x) + self.down(torch.relu(self.up(x)))))
        return out


def test_rules_hold_whatever_device_new_tensors_are_made_on() -> None:
    model, x = Block(), torch.randn(4, 12, 16)
    usual = initlab.plan(model, x)
    torch.set_default_device("meta")
    try:
        elsewhere = initlab.plan(model, x)
    finally:
        torch.set_default_device(None)
    assert [(e.name, e.std, e.predicted) for e in elsewhere.entries] == [
        (e.name, e.std, e.predicted) for e in usual.entries
    ]
