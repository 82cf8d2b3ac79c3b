"""The forget gates of recurrent cells that a model writes out by hand begin as those of torch's own layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import initlab

X = torch.randn(8, 5, 16, generator=torch.Generator().manual_seed(0))


class Loop(nn.Module):
    """A state (h, c) from zeros on; each subclass has its step."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(16, 4)
        self.make()

    def make(self) -> None: ...

    def step(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = c = torch.zeros(len(x), 16)
        for step in range(x.shape[1]):
            h, c = self.step(x[:, step], h, c)
        out: torch.Tensor = self.out(h)
        return out


class Packed(Loop):
    def make(self) -> None:
        self.gates = nn.Linear(32, 64)

    def step(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        i, f, g, o = self.gates(torch.cat([x, h], -1)).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class TwoBiases(Loop):
    def make(self) -> None:
        self.x, self.h = nn.Linear(16, 64), nn.Linear(16, 64)

    def step(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        f, i, g, o = (self.x(x) + self.h(h)).split(16, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class Apart(Loop):
    def make(self) -> None:
        self.f, self.i, self.g, self.o = (nn.Linear(32, 16) for _ in range(4))

    def step(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = torch.cat([x, h], -1)
        c = c * self.f(both).sigmoid() + self.i(both).sigmoid() * self.g(both).tanh()
        return self.o(both).sigmoid() * c.tanh(), c


class Vector(Loop):
    def make(self) -> None:
        self.x, self.bias = nn.Linear(16, 64, bias=False), nn.Parameter(torch.zeros(1, 64))

    def step(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made = self.x(x) + self.bias
        i, f, o = made[:, :16].sigmoid(), made[:, 16:32].sigmoid(), made[:, 48:].sigmoid()
        c = f * c + i * made[:, 32:48].tanh()
        return o * c.tanh(), c


class Convex(Loop):
    """h ← z·h + (1 − z)·u, as in a GRU: which of the two is to be forgotten is not told."""

    def make(self) -> None:
        self.gates = nn.Linear(16, 32)

    def step(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z, u = self.gates(x).chunk(2, -1)
        h = z.sigmoid() * h + (1 - z.sigmoid()) * u
        return h, c


class AtOnce(nn.Module):
    """Gates of all steps are made before the loop (Bradbury et al., Quasi-recurrent neural networks, 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.value, self.out = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gates, values, state = self.gate(x).sigmoid(), self.value(x), torch.zeros(len(x), 16)
        for step in range(x.shape[1]):
            state = gates[:, step] * state + values[:, step]
        out: torch.Tensor = self.out(state)
        return out


class Layers(nn.Module):
    """x ← σ(f(x))·x + u(x) with layers of their own at each step: depth is no time."""

    def __init__(self) -> None:
        super().__init__()
        self.gates, self.values = (nn.ModuleList(nn.Linear(16, 16) for _ in range(3)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for gate, value in zip(self.gates, self.values, strict=True):
            x = gate(x).sigmoid() * x + value(x)
        return x


@pytest.mark.parametrize(
    ("build", "ones"),
    [
        (Packed, {"gates.bias": range(16, 32)}),
        (TwoBiases, {"x.bias": range(16)}),
        (Apart, {"f.bias": range(16)}),
        (Vector, {"bias": range(16, 32)}),
        (AtOnce, {"gate.bias": range(16)}),
        (Convex, {}),
        (Layers, {}),
    ],
)
def test_forget_gates_begin_at_one_and_all_else_at_zero(build: Callable[[], nn.Module], ones: dict[str, range]) -> None:
    net = build()
    plan = initlab.init_(net, example_inputs=X)
    found = {
        name: torch.nonzero(p.detach().flatten()).flatten().tolist()
        for name, p in net.named_parameters()
        if name.endswith("bias") and p.any() and plan[name].code != "spread"
    }
    assert found == {name: list(units) for name, units in ones.items()}
    assert {plan[name].code for name in ones} <= {"forget_gate"}
    assert all(bool((p[p != 0] == 1).all()) for name, p in net.named_parameters() if name in ones)


def test_the_forget_bias_is_the_options_and_an_authors_own_goes_before_it() -> None:
    net = Packed()
    initlab.init_(net, initlab.get_policy("auto", forget_bias=2.5), example_inputs=X)
    assert net.gates.bias[16:32].tolist() == [2.5] * 16
    assert initlab.plan(net, X)["gates.bias"].code == "special_bias"
    initlab.init_(net, initlab.get_policy("auto", forget_bias=0.0), example_inputs=X)
    assert not net.gates.bias.any()
