"""Read-outs whose logits are pooled over places: by any statistic, whatever the order of axes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import initlab

X = torch.randn(64, 12, 16, generator=torch.Generator().manual_seed(0))
OWNERS = torch.arange(64).repeat_interleave(12)


def _scattered(logits: Tensor) -> Tensor:
    places = OWNERS[:, None].expand(-1, 5)
    return torch.zeros(64, 5).scatter_reduce(0, places, logits.reshape(-1, 5), "amax", include_self=False)


POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "the largest": lambda logits: logits.amax(1),
    "the largest of each graph": _scattered,
    "the three largest": lambda logits: logits.topk(3, 1).values.mean(1),
    "the median": lambda logits: logits.median(1).values,
    "log-sum-exp": lambda logits: logits.logsumexp(1),
    "classes before places": lambda logits: nn.functional.adaptive_max_pool1d(logits.mT, 1).squeeze(-1),
    "classes before places, by amax": lambda logits: logits.mT.amax(2),
}


class Pooled(nn.Module):
    """Numbers of each place, and what is made of them."""

    def __init__(self, pool: Callable[[Tensor], Tensor], numbers: int = 5) -> None:
        super().__init__()
        self.first, self.head, self.pool = nn.Linear(16, 32), nn.Linear(32, numbers), pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.head(torch.relu(self.first(x))))


@pytest.mark.parametrize("way", POOLS)
def test_a_pooled_read_out_begins_at_a_uniform_guess(way: str) -> None:
    model = Pooled(POOLS[way])
    plan = initlab.init_(model, "auto", example_inputs=X)
    assert "read-out" in plan["head.weight"].reason
    logits = model(X)
    assert float((logits.logsumexp(1) - logits.mean(1)).mean().detach()) < 1.05 * math.log(5)


ATOMS = torch.randint(0, 3, (64, 12), generator=torch.Generator().manual_seed(1))
ENERGIES: dict[str, Callable[[Tensor], Tensor]] = {
    "a sum over atoms": lambda energies: energies[..., 0].sum(1),
    "a sum over atoms of one kind": lambda energies: (energies.squeeze(-1) * (ATOMS == 1)).sum(1),
    "a sum over atoms that stood in one row": lambda energies: energies.reshape(-1).view(64, 12).sum(1),
    "a sum over atoms along another axis": lambda energies: energies.view(64, 3, 4).sum((1, 2)),
    "a sum by molecule": lambda energies: torch.zeros(64).index_add(0, OWNERS, energies.reshape(-1)),
}


@pytest.mark.parametrize("way", ENERGIES)
def test_one_number_of_each_place_is_judged_by_what_they_add_up_to(way: str) -> None:
    model = Pooled(ENERGIES[way], numbers=1)
    plan = initlab.init_(model, "auto", example_inputs=X)
    assert "read-out" in plan["head.weight"].reason
    assert float(model(X).square().mean().detach()) < 0.3  # near zero, where a sum of twelve of variance 1 is near 12


PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "a mean and a scale": lambda made: torch.cat([made[:, :4], made[:, 4:].exp()], 1),
    "parts of a grid": lambda made: torch.cat(list(made.reshape(-1, 2, 4).unbind(1)), -1),
}


@pytest.mark.parametrize("way", PARTS)
def test_parts_of_a_read_out_that_stand_side_by_side_again_are_one(way: str) -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = model

        def forward(self, x: Tensor) -> Tensor:
            return PARTS[way](self.layers(x))

    plan = initlab.init_(Parts(), "auto", example_inputs=X[:, 0])
    assert "read-out" in plan["layers.2.weight"].reason


NODES = torch.randn(60, 16, generator=torch.Generator().manual_seed(2))
EDGES = (torch.rand(60, 60, generator=torch.Generator().manual_seed(3)) < 0.05) | torch.eye(60, dtype=torch.bool)


class GraphAttention(nn.Module):
    """Scores of pairs by one row each for both (Veličković et al., 2018, equation 3), their shares, and averages."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.first, self.head, self.way = nn.Linear(16, 32), nn.Linear(32, 12, bias=False), way
        self.own, self.other = nn.Linear(4, 1, bias=False), nn.Linear(4, 1, bias=False)
        self.rows = nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(4)))

    def forward(self, x: Tensor) -> Tensor:
        made = self.head(torch.relu(self.first(x))).view(60, 3, 4)
        if self.way == "rows":
            own = other = (made * self.rows).sum(-1)
        else:
            own, other = self.own(made)[..., 0], self.other(made)[..., 0]
        scores = nn.functional.leaky_relu(own[:, None] + other, 0.2)
        if self.way == "by edge":
            shares = scores.masked_fill(~EDGES[..., None], -1e9).exp()
            shares = shares / shares.sum(1, keepdim=True)
        else:
            shares = scores.masked_fill(~EDGES[..., None], -1e9).softmax(1)
        logits = torch.einsum("ijh,jhc->ihc", shares, made)
        logits = logits[:, 0] if self.way == "one head" else logits.mean(1)
        return logits.log_softmax(-1) if self.way == "log-softmax" else logits


class Attending(nn.Module):
    """Logits of places, averaged by shares that other weights give; with `beside`, added to what they are of."""

    def __init__(self, fused: bool, beside: bool = False) -> None:
        super().__init__()
        self.query, self.key, self.head = nn.Linear(16, 8), nn.Linear(16, 8), nn.Linear(16, 16)
        self.fused, self.beside = fused, beside

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query(x), self.key(x), self.head(x)
        if self.fused:
            made = nn.functional.scaled_dot_product_attention(query, key, value)
        else:
            made = (query @ key.mT / math.sqrt(8)).softmax(-1) @ value
        return x + made if self.beside else made


@pytest.mark.parametrize("way", ["rows", "maps", "one head", "log-softmax", "by edge"])
def test_what_shares_average_is_the_answer_though_they_are_made_of_it(way: str) -> None:
    model = GraphAttention(way)
    plan = initlab.plan(model, NODES)
    guess = []
    for seed in range(4):
        initlab.init_(model, plan, seed=seed)
        logits = model(NODES)
        guess.append(float((logits.logsumexp(1) - logits.mean(1)).mean().detach()))
    before, target = plan["head.weight"].measured or (0.0, 0.0)
    assert target <= before  # it is judged as logits, not brought to unit size
    assert sum(guess) / 4 < 1.05 * math.log(4)


@pytest.mark.parametrize("fused", [False, True])
def test_what_attention_averages_last_is_a_read_out_unless_added_to_the_data(fused: bool) -> None:
    plan = initlab.plan(Attending(fused), X)
    assert [entry.name for entry in plan.entries if "read-out" in str(entry.reason)] == ["head.weight"]
    assert "read-out" not in str(initlab.plan(Attending(fused, beside=True), X)["head.weight"].reason)
