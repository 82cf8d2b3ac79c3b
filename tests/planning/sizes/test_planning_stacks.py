"""Deep plain stacks: found, judged by theory, and given laws with which they train."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import initlab
from initlab import theory
from initlab.graph import record
from initlab.planning.sizes.stacks import GRADIENT, gain_of, loses, odd_part, stacks_of

Function = Callable[[torch.Tensor], torch.Tensor]


class Plain(nn.Module):
    """Layers of one activation, and a read-out."""

    def __init__(self, depth: int, function: Function, width: int = 32, features: int = 16) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width if i else features, width) for i in range(depth)])
        self.head, self.function = nn.Linear(width, 10), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = self.function(layer(x))
        return self.head(x)


def convolutions(depth: int) -> nn.Sequential:
    layers = [part for i in range(depth) for part in (nn.Conv2d(16 if i else 3, 16, 3, padding=1), nn.ReLU())]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def by_hand(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x)


X = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))

LAWS = [
    # activation, depth, scheme of the hidden layers, their gain or None, source
    (F.relu, 5, "lecun_normal", 2**0.5, "He et al. 2015: 5 layers keep inputs apart"),
    (F.relu, 50, "mirrored", 1.0, "ψ(u) = u (Balduzzi et al. 2017)"),
    (F.gelu, 60, "mirrored", 1.0, "u Φ(u) + u Φ(−u) = u"),
    (by_hand, 60, "mirrored", 1.0, "u σ(u) + u σ(−u) = u"),
    (F.softplus, 10, "mirrored", 1.0, "log(1 + eᵘ) − log(1 + e⁻ᵘ) = u"),
    (lambda x: F.leaky_relu(x, 0.25), 60, "mirrored", 0.8, "ψ(u) = (1 + a) u"),
    (torch.sigmoid, 8, "mirrored", None, "ψ(u) = tanh(u/2)"),
    (torch.tanh, 50, "orthogonal", 1.0, "tanh's critical point is (1, 0) (Schoenholz et al. 2017)"),
    (torch.sin, 50, "orthogonal", 1.0, "slope 1 at zero"),
]


@pytest.mark.parametrize(("function", "depth", "scheme", "gain", "source"), LAWS)
def test_the_law_of_a_plain_stack(function: Function, depth: int, scheme: str, gain: float | None, source: str) -> None:
    plan = initlab.plan(Plain(depth, function), X)
    hidden = [plan[f"layers.{i}.weight"] for i in range(1, depth)]
    assert {entry.scheme.split("(")[0] for entry in hidden} == {scheme}, source
    assert gain is None or hidden[-1].gain == pytest.approx(gain, rel=1e-3), source
    assert {entry.reason.code for entry in hidden} == {"fed" if scheme == "lecun_normal" else "deep_stack"}


def test_the_first_layer_makes_pairs_of_what_it_reads() -> None:
    net = Plain(40, F.relu)
    initlab.init_(net, "auto", example_inputs=X)
    first, second = net.layers[0].weight, net.layers[1].weight
    assert torch.equal(first[:16], -first[16:])
    assert torch.equal(second[:16, :16], second[16:, 16:])
    assert torch.equal(second[:16, :16], -second[:16, 16:])


@pytest.mark.parametrize("function", [F.relu, F.gelu, F.elu, F.softplus, torch.sigmoid, torch.tanh])
def test_signals_and_gradients_reach_both_ends_of_a_hundred_layers(function: Function) -> None:
    net = Plain(100, function, width=64)
    initlab.init_(net, "auto", example_inputs=X)
    net(X).square().mean().backward()
    first, last = (net.layers[i].weight.grad.norm().item() for i in (1, 99))
    assert 1 / 30 < first / last < 30
    with torch.no_grad():
        hidden = X
        for layer in net.layers:
            hidden = function(layer(hidden))
        hidden = hidden - hidden.mean(0)
        data = X - X.mean(0)
    told = torch.corrcoef(torch.stack([torch.cdist(x, x).flatten() for x in (data, hidden)]))[0, 1]
    assert told > 0.5  # distances between inputs are still seen in the last layer


def test_a_plain_convolution_stack_is_mirrored_at_its_kernels_centre() -> None:
    net = convolutions(30)
    plan = initlab.init_(net, "auto", example_inputs=torch.randn(8, 3, 8, 8))
    weight = net[2].weight.detach()
    assert plan["2.weight"].scheme == "mirrored"
    assert weight.count_nonzero() == weight[:, :, 1, 1].count_nonzero() > 0


class Branches(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers[0](x)
        for layer in self.layers[1:]:
            x = x + layer(self.function(x))
        return self.head(x)


class Normed(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = self.function(F.layer_norm(layer(x), (32,)))
        return self.head(x)


class Shared(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers[0](x)
        for _ in self.layers[1:]:
            x = self.function(self.layers[1](x))
        return self.head(x)


@pytest.mark.parametrize("kind", [Branches, Normed, Shared])
def test_nets_with_branches_norms_or_shared_layers_are_no_plain_stacks(kind: type[Plain]) -> None:
    net = kind(40, F.relu)
    graph, entries = record(net, X), {entry.name: entry for entry in initlab.plan(net, X).entries}
    assert max((stack.depth for stack in stacks_of(graph, entries)), default=0) <= 1


def test_a_law_that_was_asked_for_stays() -> None:
    plan = initlab.plan(Plain(60, F.relu), X, {"layers.30.weight": "he_normal"})
    assert plan["layers.30.weight"].scheme == "he_normal"


DEPTHS = [("relu", 10, ""), ("relu", 60, "alike"), ("tanh", 60, "grow"), ("sigmoid", 10, "fade"), ("identity", 500, "")]


@pytest.mark.parametrize(("name", "depth", "word"), DEPTHS)
def test_what_a_kept_second_moment_loses(name: str, depth: int, word: str) -> None:
    found = loses(name, depth)
    assert (word in found) if word else found == ""


@pytest.mark.parametrize("function", [F.relu, torch.sigmoid, torch.tanh])
def test_a_hundred_plain_layers_train(function: Function) -> None:
    """He's start stays at chance here; one rate, 150 steps of the digits."""
    data, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(data, dtype=torch.float32), torch.tensor(labels)
    x = (x - x.mean()) / x.std()
    net = Plain(100, function, 64, 64)
    initlab.init_(net, "auto", example_inputs=x[:256])
    optimizer, rows = torch.optim.Adam(net.parameters(), 3e-4, fused=True), torch.Generator().manual_seed(0)
    for _ in range(150):
        batch = torch.randint(0, len(x), (128,), generator=rows)
        optimizer.zero_grad()
        F.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
    assert (net(x).argmax(1) == y).float().mean() > 0.8


@pytest.mark.parametrize("function", [torch.sigmoid, F.selu, torch.tanh, F.relu])
def test_layers_of_a_deep_stack_begin_at_second_moment_one(function: Function) -> None:
    first = initlab.plan(Plain(60, function), X)["layers.0.weight"].measured
    assert first is not None
    assert first[1] == 1.0  # the fixed point for which the law's gain is derived


@pytest.mark.parametrize("function", [F.selu, torch.tanh, F.relu])
def test_a_layer_of_a_shallow_one_begins_smaller(function: Function) -> None:
    first = initlab.plan(Plain(1, function), X)["layers.0.weight"].measured
    assert first is not None
    assert first[1] < 0.4


@pytest.mark.parametrize("function", [torch.sigmoid, F.elu, F.selu])
@pytest.mark.parametrize("depth", [8, 300])
def test_gradients_grow_by_no_more_than_the_bound_at_the_size_that_stays(function: Function, depth: int) -> None:
    part = odd_part(function)
    gain = gain_of(part, depth)
    q = theory.fixed_point(part, sigma_w=gain).q_star
    assert depth * math.log(theory.chi(part, q, gain)) <= math.log(GRADIENT) * 1.01
    assert q == pytest.approx(1, rel=1e-3) if depth == 8 else q < 1  # no smaller than it must be


def test_weights_that_read_a_linear_odd_part_have_gain_one_at_any_depth() -> None:
    assert gain_of(odd_part(F.gelu), 10_000) == pytest.approx(1)
