"""Weights within `torch.func` transforms: planned, measured and inspected as the same layers are without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, stack_module_state, vmap

import initlab

X = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
Y = torch.arange(64) % 5


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5))

    def forward(self, x: Tensor) -> Any:
        return self.net(x)


class ByHand(Plain):
    def __init__(self, call: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Any:
        return self.call(self.net, x)


SAMPLES = {
    "one by one": lambda net, x: vmap(net)(x),
    "in chunks": lambda net, x: vmap(net, chunk_size=24)(x),
    "along the last axis": lambda net, x: vmap(net, in_dims=1, out_dims=1)(x.T).T,
    "two levels": lambda net, x: vmap(vmap(net))(x.unflatten(0, (4, 16))).flatten(0, 1),
    "functional call": lambda net, x: functional_call(net, dict(net.named_parameters()), (x,)),
    "its values beside a gradient": lambda net, x: (
        vmap(lambda v: jacrev(lambda u: (net(u),) * 2, has_aux=True)(v)[1])(x)
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", SAMPLES)
def test_a_model_of_one_sample_is_planned_as_of_a_batch(way: str) -> None:
    plan, plain = initlab.plan(ByHand(SAMPLES[way]), X), initlab.plan(Plain(), X)
    assert not plan.warnings
    for entry, other in zip(plan.entries, plain.entries, strict=True):
        assert (entry.name, entry.geometry, entry.std) == (
            other.name,
            other.geometry,
            pytest.approx(other.std, rel=0.1),
        )
        if way != "in chunks":  # one chunk then measures what the first use of each weight makes
            assert entry.std == pytest.approx(other.std, rel=1e-4)


@pytest.mark.parametrize("way", ["one by one", "along the last axis", "two levels"])
def test_a_model_of_one_sample_is_inspected_as_of_a_batch(way: str) -> None:
    made = []
    for model in (ByHand(SAMPLES[way]), Plain()):
        initlab.init_(model, "auto", example_inputs=X)
        made.append(initlab.inspect(model, X, Y))
    ours, plain = made
    assert [layer.name for layer in ours.layers] == [layer.name for layer in plain.layers]
    for layer, other in zip(ours.layers, plain.layers, strict=True):
        assert layer.std == pytest.approx(other.std, rel=1e-3)
        assert layer.grad_rms == pytest.approx(other.grad_rms, rel=1e-3)
    assert ours.probability["healthy"] == pytest.approx(plain.probability["healthy"], abs=0.05)


class Ensemble(nn.Module):
    """As torch's tutorial on ensembles: the members' parameters are stacked."""

    def __init__(self, build: Callable[[], nn.Module], members: int = 4) -> None:
        super().__init__()
        parameters, _ = stack_module_state([build() for _ in range(members)])  # type: ignore[arg-type]
        self.names = list(parameters)
        self.stacked = nn.ParameterList(nn.Parameter(value.detach()) for value in parameters.values())
        self.base = [build().to("meta")]

    def forward(self, x: Tensor) -> Any:
        def member(*values: Tensor) -> Any:
            return functional_call(self.base[0], dict(zip(self.names, values, strict=True)), (x,))

        return vmap(member)(*self.stacked).mean(0)


def _dense() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5))


def _convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 5))


@pytest.mark.parametrize(
    ("build", "inputs", "fans"),
    [
        (_dense, X, [(16, 32), (32, 5)]),
        (_convolutional, torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1)), [(27, 72), (512, 5)]),
    ],
)
def test_members_of_an_ensemble_have_the_fans_of_one(
    build: Callable[[], nn.Module], inputs: Tensor, fans: list[tuple[int, int]]
) -> None:
    model = Ensemble(build)
    plan = initlab.init_(model, "auto", example_inputs=inputs)
    weights = [entry for entry in plan.entries if entry.role == "weight"]
    assert [(entry.geometry.fan_in, entry.geometry.fan_out) for entry in weights if entry.geometry] == fans
    assert not plan.warnings
    report = initlab.inspect(model, inputs, Y)
    assert report.loss == pytest.approx(torch.log(torch.tensor(5.0)).item(), rel=0.05)
    assert report.verdict == "healthy"


class Field(nn.Module):
    """What a learned energy says of its inputs: the gradient of a network, read by another layer."""

    def __init__(self, func: bool) -> None:
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 1))
        self.out = nn.Linear(16, 5)
        self.func = func

    def forward(self, x: Tensor) -> Any:
        if self.func:
            return self.out(vmap(grad(lambda v: self.energy(v).squeeze()))(x))
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            (field,) = torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)
        return self.out(field)


def test_a_gradient_within_a_model_is_one_by_either_call() -> None:
    ours, plain = initlab.plan(Field(True), X), initlab.plan(Field(False), X)
    assert not ours.warnings
    assert {e.name: e.reason.code for e in ours.entries} == {e.name: e.reason.code for e in plain.entries}
    report = initlab.inspect(Field(True), X, Y)
    assert [layer.name for layer in report.layers] == [
        layer.name for layer in initlab.inspect(Field(False), X, Y).layers
    ]
