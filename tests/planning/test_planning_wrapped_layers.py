"""Layers that torch wraps or remakes: compiled, checkpointed, data-parallel, scripted, orthogonally parametrized."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.utils.parametrizations import orthogonal

import initlab
from initlab.errors import InputError


def _net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3))


def _by_layer(wrap: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return nn.Sequential(*(wrap(layer) for layer in _net()))


WRAPPED: dict[str, Callable[[], nn.Module]] = {
    "compiled": lambda: torch.compile(_net()),
    "each layer compiled": lambda: _by_layer(torch.compile),
    "each layer checkpointed": lambda: _by_layer(checkpoint_wrapper),
    "data parallel and compiled": lambda: torch.compile(nn.DataParallel(_net())),
    "an average of models": lambda: torch.optim.swa_utils.AveragedModel(_net()),
}


@pytest.mark.parametrize("way", WRAPPED)
def test_wrappers_change_neither_the_law_nor_the_values(way: str) -> None:
    plain, wrapped = _net(), WRAPPED[way]()
    expected, plan = initlab.init_(plain, seed=3), initlab.init_(wrapped, seed=3)
    assert [(e.name, e.reason) for e in plan.entries] == [(e.name, e.reason) for e in expected.entries]
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), wrapped.parameters(), strict=True))
    own = [name for name, _ in wrapped.named_parameters()]
    assert [plan[name].name for name in own] == [name for name, _ in plain.named_parameters()]
    assert own[0] in plan
    assert "_orig_mod.fc.weight" not in plan
    assert plan.explain(own[0])


def test_what_an_orthogonal_parametrization_holds_is_kept() -> None:
    net = nn.Sequential(orthogonal(nn.Linear(6, 12)), nn.ReLU(), orthogonal(nn.Linear(12, 12)))
    plan = initlab.init_(net, "he_normal")
    assert plan.counts == {"write": 2, "keep": 2, "refuse": 0}
    for layer in (net[0], net[2]):
        torch.testing.assert_close(layer.weight.T @ layer.weight, torch.eye(layer.in_features), atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="signs and reflections"):
        initlab.init_(net, {"0.parametrizations.weight.original": "normal"})


def test_weights_that_the_recording_cannot_follow_are_said() -> None:
    plan = initlab.plan(torch.jit.script(_net()), torch.randn(4, 6))
    assert any("3 weights get gain 1" in warning and "4.weight" in warning for warning in plan.warnings)


def test_a_scripted_model_is_inspected_and_left_as_it_was() -> None:
    net = torch.jit.script(nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3)))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert initlab.inspect(net, torch.randn(32, 6), torch.arange(32) % 3).verdict == "healthy"
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_star_that_stops_at_a_dot_is_explained() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(3, 3)))
    with pytest.raises(InputError, match=r"since \* stops at a dot; did you mean '0\.\*\*'\?"):
        initlab.plan(net, policy={"0.*": "normal"})


@pytest.mark.parametrize("keep", [3, True, [3], None])
def test_keep_that_is_no_selector_is_refused(keep: object) -> None:
    with pytest.raises(InputError, match="keep must be selectors"):
        initlab.init_(_net(), keep=keep)  # type: ignore[arg-type]
