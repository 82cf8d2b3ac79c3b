"""Rows routed by indices, fixed divisors, noise: graphs, mixtures of experts, variational autoencoders, LoRA."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab import theory
from initlab.graph import record

F = nn.functional
NODES, EDGES = 64, 256
GENERATOR = torch.Generator().manual_seed(0)
SOURCE, TARGET = (torch.randint(0, NODES, (EDGES,), generator=GENERATOR) for _ in range(2))
DEGREE = torch.bincount(TARGET, minlength=NODES).clamp(min=1).float()[:, None]
X = torch.randn(NODES, 16, generator=GENERATOR)
RELU = (0.5, 1 / math.sqrt(2 * math.pi))  # second moment, mean


class Call(nn.Module):
    """One layer, and whatever the function makes of its input before it."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function, self.first, self.last = function, nn.Linear(16, 16), nn.Linear(16, 4)
        self.readers: nn.Module = nn.Identity()

    def made(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(self.function(self.first(x)))
        return made

    def forward(self, x: torch.Tensor) -> Any:
        return self.readers(self.made(x))


def _sums(x: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x).index_add(0, TARGET, x[SOURCE])


def _scattered(x: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x).scatter_add(0, TARGET[:, None].expand(-1, 16), x[SOURCE])


def _routed(x: torch.Tensor) -> torch.Tensor:
    """Two experts, each of half the rows: every row is written once."""
    chosen = x[:, :2].softmax(-1).topk(1, -1).indices
    made = torch.zeros_like(x)
    for expert in (0, 1):
        rows = (chosen[:, 0] == expert).nonzero(as_tuple=True)[0]
        made = made.index_add(0, rows, torch.tanh(x[rows]))
    return made


# Four edges arrive at a node on average: 4 · 1, and of relus 4 · variance + (4 · mean)².
CASES: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float]] = {
    "sum over neighbours": (_sums, 4.0),
    "scattered sum": (_scattered, 4.0),
    "sum of relus": (lambda x: _sums(F.relu(x)), 4 * (RELU[0] - RELU[1] ** 2) + (4 * RELU[1]) ** 2),
    "mean over neighbours": (lambda x: _sums(x) / DEGREE, 4.0 * float((1 / DEGREE**2).mean())),
    "divided by a fixed tensor": (lambda x: x / torch.linspace(2, 4, 16), 1 / 8),
    "routed to experts": (_routed, theory.moments("tanh").second),
    "with noise": (lambda x: x + torch.randn_like(x) * torch.exp(x.flip(0) / 2), 1 + math.exp(1 / 2)),
    "with uniform noise": (lambda x: torch.rand_like(x), 1 / 3),
}


@pytest.mark.parametrize("case", CASES)
def test_second_moment_of_what_is_routed(case: str) -> None:
    function, expected = CASES[case]
    fed = record(Call(function), X).uses("last.weight")[0].feeds
    assert fed is not None
    assert fed.second_moment == pytest.approx(expected, rel=0.02)


def test_a_graph_network_keeps_its_signal() -> None:
    """By measurement: the second moment of what reads the sums, over many starts."""
    model = Call(lambda x: _sums(torch.tanh(x)))
    model.readers = nn.Sequential(nn.Tanh(), nn.Linear(4, 2))
    plan, moments = initlab.plan(model, X), []
    for seed in range(200):
        initlab.init_(model, plan, seed=seed)
        moments.append(float(model.made(X).detach().square().mean()))
    assert 0.5 < sum(moments) / len(moments) < 1.15  # four units, of a plain network


class Adapted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(16, 16).requires_grad_(False)
        self.lora_A, self.lora_B = nn.Linear(16, 4, bias=False), nn.Linear(4, 16, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.lora_B(self.lora_A(x))


def test_a_low_rank_adapter_adds_nothing_at_first() -> None:
    model = Adapted()
    expected = model.base(X)
    plan = initlab.init_(model, example_inputs=X)
    assert torch.equal(model(X), expected)
    assert plan["lora_A.weight"].std == pytest.approx(1 / math.sqrt(3 * 16), rel=0.1)  # as LoRA's own, U(±1/√16)
    assert "LoRA" in plan["lora_B.weight"].reason
    assert initlab.plan(model, policy={"lora_B.weight": "he_normal"})["lora_B.weight"].std > 0


class Distance(nn.Module):
    """|a|² − 2ab + |b|² written as one product of what stands side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.first(x)
        length, one = z.pow(2).sum(-1, keepdim=True), torch.ones(len(z), 1)
        squares = torch.cat([-2 * z, length, one], -1) @ torch.cat([z, one, length], -1).T
        assert float(squares.min()) > -1e-3
        return torch.exp(-squares)


def test_a_distance_written_as_a_product_stays_one_while_it_is_measured() -> None:
    assert initlab.plan(Distance(), X).warnings == ()


def test_a_quotient_without_a_second_moment_is_not_known() -> None:
    """x/(Σx + ε) of signed numbers has none: one draw in a million decides what a measurement gives."""

    def shares(x: torch.Tensor) -> torch.Tensor:
        return x / (x.sum(-1, keepdim=True) + 1e-8)

    feeds = record(Call(shares), X).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment is None


class Relations(nn.Module):
    """A matrix for each kind of edge, picked by kinds that are given, as in relational graph convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.matrices = nn.Parameter(torch.randn(3, 16, 8))

    def forward(self, x: Tensor, kinds: Tensor) -> Tensor:
        return torch.bmm(x[:, None], self.matrices.index_select(0, kinds))[:, 0]


def test_no_rule_fails_on_matrices_that_given_kinds_pick(recwarn: pytest.WarningsRecorder) -> None:
    graph = record(Relations(), (torch.randn(64, 16), torch.arange(64) % 3))
    graph.uses("matrices")
    assert not recwarn.list
