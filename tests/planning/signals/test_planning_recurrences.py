"""Weights that read what they made before, or sums over neighbours, and weights that stand behind a magnitude."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import initlab

F = nn.functional


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Cell(nn.Module):
    """h ← tanh(V a·tanh(c·W [x, h])), eight times from h = 0 (Hasani et al., 2022, has such a backbone)."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(4 + 32, 64), nn.Linear(64, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(x), 32)
        for now in x.unbind(1):
            state = torch.tanh(self.out(1.7159 * torch.tanh(0.666 * self.into(torch.cat([now, state], -1)))))
        return state


def test_a_recurrence_gets_gain_one_at_most() -> None:
    plan = initlab.plan(Cell(), batch(16, 8, 4))
    assert [(plan[name].code, plan[name].std) for name in ("into.weight", "out.weight")] == [
        ("recurrent", pytest.approx(1 / 6)),
        ("recurrent", pytest.approx(1 / 8)),
    ]


class Unrolled(nn.Module):
    """A state that begins at zero, and a weight that reads it beside the data, step after step."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.last = nn.Linear(34, 32), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = x.new_zeros(len(x), 32)
        for now in x.unbind(1):
            state = torch.tanh(self.step(torch.cat([now, state], 1)))
        return self.last(state)


def test_a_state_of_zeros_at_the_first_step_is_no_reason_for_larger_weights() -> None:
    assert initlab.plan(Unrolled(), batch(64, 12, 2))["step.weight"].std == pytest.approx(1 / math.sqrt(34))


class Towers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared, self.out = nn.Linear(64, 32), nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = (self.out(F.relu(self.shared(side))) for side in (x, -x))
        return F.cosine_similarity(left, right)


def test_two_uses_side_by_side_are_no_recurrence() -> None:
    assert initlab.plan(Towers(), batch(64, 64))["out.weight"].gain == pytest.approx(math.sqrt(2), rel=1e-3)


class Block(nn.Module):
    """A branch that a weight norm ends, before a ReLU (Bai et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (parametrizations.weight_norm(nn.Linear(32, 32)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + F.relu(self.two(F.relu(self.one(x)))))


def test_behind_weight_norm_outputs_are_measured_and_branches_get_their_share() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), Block(), Block(), nn.Linear(32, 4))
    plan = initlab.init_(model, example_inputs=3 * batch(64, 16))
    parts = {}
    hooks = [model[i].two.register_forward_hook(lambda m, a, y: parts.setdefault(m, F.relu(y))) for i in (2, 3)]
    hooks += [model[i].register_forward_hook(lambda m, a, y: parts.setdefault(m, a[0])) for i in (2, 3)]
    model(3 * batch(64, 16))
    shares = [(parts[model[i].two].square().mean() / parts[model[i]].square().mean()).item() for i in (2, 3)]
    assert shares == [pytest.approx(1 / 2, rel=0.4)] * 2  # of 32 units of one draw
    assert plan["2.one.parametrizations.weight.original1"].measured is not None


class Graph(nn.Module):
    """Averages over neighbours, along edges or by an adjacency, before weights (Kipf and Welling, 2017)."""

    def __init__(self, edges: bool) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 4)
        self.edges = edges
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("ways", torch.randint(0, 50, (2, 400), generator=generator))
        self.register_buffer("near", torch.zeros(50, 50).index_put((self.ways[1], self.ways[0]), torch.tensor(1 / 8)))

    def spread(self, h: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(h).index_add(0, self.ways[1], h[self.ways[0]]) / 8 if self.edges else self.near @ h

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.spread(self.second(F.relu(self.spread(self.first(x)))))))


@pytest.mark.parametrize("edges", [True, False])
def test_what_reads_sums_over_neighbours_gets_gain_one_at_most(edges: bool) -> None:
    plan = initlab.plan(Graph(edges), batch(50, 8))
    assert (plan["second.weight"].code, plan["second.weight"].std) == ("neighbours", pytest.approx(1 / math.sqrt(32)))


class Stacked(nn.Module):
    """Three residual layers held in one tensor each, as scanned layers are, or apart."""

    def __init__(self, apart: bool) -> None:
        super().__init__()
        shapes = {"scale": (16,), "shift": (16,), "up": (16, 64), "down": (64, 16)}
        for number, (name, shape) in enumerate(shapes.items()):
            start = batch(3, *shape) / 50 if len(shape) > 1 else torch.full((3, *shape), 1.0 - number)
            held = nn.ParameterList(list(start)) if apart else nn.Parameter(start)
            setattr(self, name, held)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in range(3):
            y = F.layer_norm(x, (16,)) * self.scale[layer] + self.shift[layer]
            x = x + F.gelu(y @ self.up[layer]) @ self.down[layer]
        return self.head(F.layer_norm(x, (16,)))  # type: ignore[no-any-return]


def test_layers_in_a_stack_are_weights_of_their_own_and_no_recurrence() -> None:
    stacked, apart = (initlab.plan(Stacked(way), batch(16, 16)) for way in (False, True))
    for name in ("scale", "shift", "up", "down"):
        assert (stacked[name].role, stacked[name].gain) == (apart[f"{name}.0"].role, apart[f"{name}.0"].gain)
    assert "one of 3 that end" in stacked["down"].reason
    gpt2 = [initlab.plan(Stacked(way), batch(16, 16), "gpt2") for way in (False, True)]
    assert gpt2[0]["down"].std == gpt2[1]["down.0"].std == pytest.approx(0.02 / math.sqrt(3))


class Tower(nn.Module):
    """Two residual blocks, run on two inputs side by side, or on one input twice in turn."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.stem, self.head = way, nn.Linear(16, 32), nn.Linear(32, 4)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32)) for _ in range(2)
        )

    def tower(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.tower(self.stem(x))
        if self.way == "in turn":
            made = self.tower(made)
        return self.head(made * self.tower(self.stem(-x)) if self.way == "side by side" else made)


@pytest.mark.parametrize(("way", "branches"), [("once", 2), ("side by side", 2), ("in turn", 4)])
def test_branches_of_shared_weights_count_where_they_add_to_one_stream(way: str, branches: int) -> None:
    plan = initlab.plan(Tower(way), torch.randn(64, 16, generator=torch.Generator().manual_seed(0)))
    assert f"one of {branches} that end residual branches" in plan["blocks.0.3.weight"].reason
