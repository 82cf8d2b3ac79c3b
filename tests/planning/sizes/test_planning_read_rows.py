"""Tables whose rows weights read: which they are, and how small they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.planning.sizes.targets import READ

F = nn.functional
NUMBERS = torch.randint(0, 50, (64, 4), generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """What a function makes of the rows of one table, (batch, 4, 8), read out by a matrix."""

    def __init__(self, made: Callable[[Net, torch.Tensor], torch.Tensor], *more: nn.Module) -> None:
        super().__init__()
        self.table, self.more, self.made = nn.Embedding(50, 8), nn.ModuleList(more), made
        self.bias, self.head = nn.Parameter(torch.zeros(32)), nn.LazyLinear(10)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(F.relu(self.made(self, self.table(x))).flatten(1))


def crossed(net: Net, rows: torch.Tensor) -> torch.Tensor:
    """Two layers of a deep and cross network (Wang et al., 2017), beside a matrix of the rows."""
    first = x = rows.flatten(1)
    for layer in net.more[:2]:
        x = first * layer(x) + net.bias + x
    return torch.cat([net.more[2](x), net.more[3](first)], 1)


def pairs(net: Net, rows: torch.Tensor) -> torch.Tensor:
    return net.more[0](torch.cat([rows[:, 0] * rows[:, 1], rows[:, 2] * rows[:, 3], rows.flatten(1)], 1))


def scored(net: Net, rows: torch.Tensor) -> torch.Tensor:
    """Scores of two rows beside the rows, as product-based networks have them (Qu et al., 2016)."""
    scores = (rows[:, [0, 1]] * rows[:, [2, 3]]).sum(-1)
    return net.more[0](torch.cat([scores, rows.flatten(1)], 1))


def stream(net: Net, rows: torch.Tensor) -> torch.Tensor:
    """A residual stream without norms."""
    return net.more[1](x := rows.flatten(1) + net.more[0](F.gelu(rows.flatten(1)))) + x


def attended(net: Net, rows: torch.Tensor) -> torch.Tensor:
    query, key, value = (layer(rows) for layer in net.more)
    return (query @ key.mT / 8**0.5).softmax(-1) @ value


def stepped(net: Net, rows: torch.Tensor) -> torch.Tensor:
    state = torch.zeros(len(rows), 32)
    for step in range(4):
        state = F.tanh(net.more[0](torch.cat([rows[:, step], state], 1)))
    return state


def centred(net: Net, rows: torch.Tensor) -> torch.Tensor:
    x = torch.cat([torch.ones(len(rows), 1, 8), rows], 1)
    x = (x - x.mean(-1, keepdim=True)) * (x.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt()
    return net.more[0](x.flatten(1))


def linear(inputs: int = 32, outputs: int = 32) -> nn.Linear:
    return nn.Linear(inputs, outputs)


class Bases(nn.Module):
    """Bases of which two layers mix their weights (Schlichtkrull et al., RGCN, 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.bases, self.shares = nn.Parameter(torch.randn(2, 3, 32, 32)), nn.Parameter(torch.randn(2, 3))


def based(net: Net, rows: torch.Tensor) -> torch.Tensor:
    x = rows.flatten(1)
    for bases, shares in zip(net.more[0].bases, net.more[0].shares, strict=True):
        x = F.relu(x @ torch.einsum("b,bio->io", shares, bases))
    return x


READERS: dict[str, tuple[Callable[[Net, Any], Any], tuple[nn.Module, ...], int]] = {
    "a matrix": (lambda net, rows: net.more[0](rows.flatten(1)), (linear(),), 1),
    "a kernel": (lambda net, rows: net.more[0](rows.mT), (nn.Conv1d(8, 32, 3),), 1),
    "a recurrence": (lambda net, rows: net.more[0](rows)[0], (nn.LSTM(8, 32, batch_first=True),), 1),
    "weighted and summed first": (lambda net, rows: net.more[0]((rows * torch.full((4, 1), 0.25)).sum(1)),
                                  (linear(8),), 1),
    "cross layers": (crossed, (nn.Linear(32, 1), linear(), linear(), linear()), 1),
    "products of two rows": (pairs, (linear(48),), 2),
    "scores of two rows beside them": (scored, (linear(34),), 1),
    "attention": (attended, tuple(linear(8, 8) for _ in range(3)), 2),
    "attention in one call": (lambda net, rows: net.more[0](rows, rows, rows, need_weights=False)[0],
                              (nn.MultiheadAttention(8, 2, batch_first=True),), 2),
}  # fmt: skip
OTHERS: dict[str, tuple[Callable[[Net, Any], Any], tuple[nn.Module, ...]]] = {
    "a function": (lambda net, rows: net.more[0](F.tanh(rows.flatten(1))), (linear(),)),
    "a norm in arithmetic, with a token beside": (centred, (linear(40),)),
    "a stream without norms": (stream, (linear(), linear())),
    "a recurrence by hand, beside its state": (stepped, (linear(40),)),
    "bases of two layers in one tensor, of which the second reads signals": (based, (Bases(),)),
}


def planned(made: Any, more: tuple[nn.Module, ...], policy: Any = "auto") -> initlab.Plan:
    model = Net(made, *more)
    model(NUMBERS)
    return initlab.plan(model, NUMBERS, policy)


@pytest.mark.parametrize("case", READERS)
def test_rows_that_weights_read_are_small_and_what_reads_them_makes_up_for_it(case: str) -> None:
    made, more, rows = READERS[case]
    plan = planned(made, more)
    entry = plan["table.weight"]
    assert entry.measured[1] == pytest.approx(READ ** (1 / rows))
    assert entry.std**2 == pytest.approx(READ ** (1 / rows), rel=0.3)  # the rows that were looked up, of 50
    assert "rows that weights read" in entry.reason


def test_a_matrix_that_reads_small_rows_makes_unit_signals() -> None:
    made, more, _ = READERS["a matrix"]
    plan = planned(made, more)
    assert plan["more.0.weight"].std ** 2 * 32 * plan["table.weight"].std ** 2 == pytest.approx(1.0, rel=0.2)


@pytest.mark.parametrize("case", OTHERS)
def test_rows_that_are_read_otherwise_keep_unit_size(case: str) -> None:
    assert planned(*OTHERS[case])["table.weight"].std == 1.0


def test_a_std_that_was_asked_for_is_kept() -> None:
    made, more, _ = READERS["a matrix"]
    policy = initlab.get_policy("auto", embedding_std=0.5)
    assert planned(made, more, policy)["table.weight"].std == 0.5


def test_rows_that_are_averaged_over_neighbours_first_keep_unit_size() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.mix, self.head = nn.Embedding(50, 32), nn.Linear(32, 32), nn.Linear(32, 10)

        def forward(self, x: torch.Tensor, edges: torch.Tensor) -> Any:
            return self.head(F.relu(self.mix(edges @ self.table(x))))

    edges = torch.rand(64, 4, 4, generator=torch.Generator().manual_seed(1)).softmax(-1)
    assert initlab.plan(Graph(), (NUMBERS, edges))["table.weight"].std == 1.0
