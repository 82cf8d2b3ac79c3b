"""Running a model changes nothing: one table of what a forward pass may do, and every room that runs one."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import initlab
from initlab.fitting.running import measuring
from initlab.graph import record
from initlab.guest.untouched import modes_kept, untouched
from initlab.guest.writes import unwatched

X = torch.linspace(-1, 1, 24).reshape(8, 3)


class Guest(nn.Module):
    """Two layers, a table, a buffer and attributes; each call does to them what `act` does."""

    def __init__(self, act: Callable[[Guest], Any]) -> None:
        super().__init__()
        self.fc, self.norm, self.out = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
        self.table = nn.Embedding(5, 4)
        self.register_buffer("mean", torch.zeros(4))
        self.calls, self.seen, self.notes, self.plain = 0, [1], {"a": [2]}, torch.zeros(3)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.act(self)
        return self.out(self.norm(self.fc(x)).relu() + self.table(torch.arange(len(x)) % 5))


def clamp(m: Guest) -> None:
    with torch.no_grad():
        m.fc.weight.clamp_(-0.01, 0.01)


def renormalise(m: Guest) -> None:
    F.embedding(torch.arange(5), m.table.weight, max_norm=0.1)


def write_view(m: Guest) -> None:
    m.fc.weight.detach()[0].zero_()


def write_data(m: Guest) -> None:
    m.fc.weight.data.mul_(2.0)


def exchange_data(m: Guest) -> None:
    m.fc.weight.data = m.fc.weight.data.double().clamp(-0.01, 0.01).float()


def write_out(m: Guest) -> None:
    with torch.no_grad():
        torch.zeros(4, 3, out=m.fc.weight)


def write_many(m: Guest) -> None:
    with torch.no_grad():
        torch._foreach_mul_(list(m.parameters()), 0.5)


def exchange_parameter(m: Guest) -> None:
    m.fc.weight = nn.Parameter(torch.ones(4, 3))


def freeze(m: Guest) -> None:
    m.fc.bias.requires_grad_(False)


def fill_gradient(m: Guest) -> None:
    m.fc.bias.grad = torch.ones(4) if m.fc.bias.grad is None else m.fc.bias.grad.add_(1)


def write_buffer(m: Guest) -> None:
    m.mean.add_(1)


def exchange_buffer(m: Guest) -> None:
    m.mean = m.mean + 1


def count(m: Guest) -> None:
    m.calls += 1
    m.seen.append(m.calls)
    m.notes["a"].append(3)
    m.notes["b"] = 4
    m.last = torch.ones(2)


def write_plain(m: Guest) -> None:
    m.plain.add_(1)


def add_module(m: Guest) -> None:
    m.more = nn.Linear(1, 1)


def hook(m: Guest) -> None:
    m.fc.register_forward_hook(lambda *_: None)
    nn.modules.module.register_module_forward_pre_hook(lambda *_: None)


def hook_parameter(m: Guest) -> None:
    if m.fc.weight.requires_grad:
        m.fc.weight.register_hook(lambda gradient: gradient)


def change_modes(m: Guest) -> None:
    m.norm.train(not m.norm.training)


def draw(m: Guest) -> None:
    random.random(), np.random.rand(), torch.rand(1)


ACTS = (
    clamp, renormalise, write_view, write_data, exchange_data, write_out, write_many, exchange_parameter, freeze,
    fill_gradient, write_buffer, exchange_buffer, count, write_plain, add_module, hook, hook_parameter, change_modes,
    draw,
)  # fmt: skip
WRITES = (clamp, renormalise, write_view, write_data, write_out, write_many)


def state(model: nn.Module) -> dict[str, Any]:
    """All that may change, as values that compare."""
    globals_ = {n: len(t) for n, t in vars(nn.modules.module).items() if isinstance(t, OrderedDict)}
    parameters = {
        n: (id(p), p.detach().tolist(), p.requires_grad, None if p.grad is None else (id(p.grad), p.grad.tolist()))
        for n, p in model.named_parameters()
    }
    return {
        "parameters": parameters,
        "tensor hooks": {n: len(p._backward_hooks or ()) for n, p in model.named_parameters()},
        "buffers": {n: (id(b), b.tolist()) for n, b in model.named_buffers()},
        "modes": [m.training for m in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        "hooks of all modules": globals_,
        "attributes": [sorted(vars(m)) for m in model.modules()],
        "own": (model.calls, model.seen, {k: repr(v) for k, v in model.notes.items()}, model.plain.tolist()),
        "random": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
        "gradients on": torch.is_grad_enabled(),
    }


def guest(act: Callable[[Guest], Any]) -> Guest:
    model = Guest(act)
    model.fc.weight.grad = torch.ones(4, 3)
    model.norm.eval()
    return model


def fit(model: Guest) -> None:
    with measuring(model), torch.no_grad():
        model(X)


ROOMS: dict[str, Callable[[Guest], Any]] = {
    "record": lambda model: record(model, X),
    "plan": lambda model: initlab.plan(model, X),
    "inspect": lambda model: initlab.inspect(model, X),
    "fitting": fit,
}


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("room", ROOMS)
def test_the_model_and_the_world_are_as_they_were(room: str, act: Callable[[Guest], Any]) -> None:
    if room == "fitting" and act in (*WRITES, exchange_data):
        pytest.skip("a method that fits weights writes them on purpose")
    model = guest(act)
    before = state(model)
    ROOMS[room](model)
    after = state(model)
    assert [what for what in before if before[what] != after[what]] == []


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_each_act_does_change_something(act: Callable[[Guest], Any]) -> None:
    """Else the table above would pass on nothing."""
    tables = [t for t in vars(nn.modules.module).values() if isinstance(t, OrderedDict)]
    model, kept = guest(act), [OrderedDict(t) for t in tables]
    before = state(model)
    act(model)
    changed = [what for what, value in state(model).items() if value != before[what]]
    for table, entries in zip(tables, kept, strict=True):
        table.clear()
        table.update(entries)
    assert changed


@pytest.mark.parametrize("act", WRITES, ids=lambda act: act.__name__)
def test_what_was_written_is_told(act: Callable[[Guest], Any]) -> None:
    model = guest(act)
    with torch.no_grad(), untouched(model) as own:
        model(X)
    expected = {
        renormalise: {"table.weight"}, write_many: {name for name, _ in model.named_parameters()}
    }.get(act, {"fc.weight"})  # fmt: skip
    assert set(own.written) == expected


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_an_error_too(error: type[BaseException]) -> None:
    def fail(m: Guest) -> None:
        for act in ACTS:
            act(m)
        raise error

    model = guest(fail)
    before = state(model)
    with pytest.raises(error), untouched(model):
        model(X)
    assert state(model) == before


def test_only_what_is_written_is_copied() -> None:
    """A model too large to be held twice can be a guest."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with torch.no_grad(), untouched(model) as own:
        model(X)
        model[1].bias.zero_()
    assert own.written == ("1.bias",)


def test_gradients_flow_as_they_would() -> None:
    model = guest(lambda m: None)
    with untouched(model):
        (inside,) = torch.autograd.grad(model(X).square().sum(), model.fc.weight)
        model(X).sum().backward()
    (outside,) = torch.autograd.grad(model(X).square().sum(), model.fc.weight)
    assert torch.equal(inside, outside)
    assert torch.equal(model.fc.weight.grad, torch.ones(4, 3))


def test_higher_order_operations_pass() -> None:
    """`cond` and the like are not dispatched as others are."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))

    model = guest(lambda m: forward(X))
    with torch.no_grad(), untouched(model):
        assert torch.equal(forward(X), X - 1) or torch.equal(forward(X), X + 1)


def test_tied_parameters_are_one() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    before = model[0].weight.detach().clone()
    with torch.no_grad(), untouched(model) as own:
        model[1].weight.zero_()
    assert own.written == ("0.weight",)
    assert torch.equal(model[0].weight, before)


def test_scripted_models_are_guests_too() -> None:
    model = torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad(), untouched(model):
        model.train()(X)
        next(model.parameters()).zero_()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("inside", [lambda m: m, torch.jit.script], ids=["as written", "scripted"])
def test_what_listens_above_hears_what_it_would(inside: Callable[[nn.Module], nn.Module]) -> None:
    heard: list[str] = []

    class Listens(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            heard.append(getattr(func, "__name__", str(func)))
            return func(*args, **(kwargs or {}))

    model = inside(nn.Sequential(nn.Linear(3, 4), nn.Tanh()))
    with torch.no_grad(), Listens():
        model(X)
    alone = [*heard]
    heard.clear()
    with torch.no_grad(), untouched(model), Listens():
        model(X)
    assert heard == alone


def test_modes_alone() -> None:
    model = guest(count)
    modes = [m.training for m in model.modules()]
    with modes_kept(model):
        model.eval()(X)
    assert [m.training for m in model.modules()] == modes
    assert model.calls == 1


def test_what_is_unwatched_is_neither_seen_nor_put_back() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad(), untouched(layer) as guest:
        with unwatched():
            layer.bias.fill_(7.0)
        assert guest.written == ()
        layer.weight.fill_(7.0)
        assert guest.written == ("weight",)
    assert layer.bias.tolist() == [7.0, 7.0]
    assert not (layer.weight == 7.0).any()


def test_threads_do_not_meet_in_what_all_of_them_share() -> None:
    """One model planned by several threads: equal plans, and no generator or limit moved."""
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 2))
    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate(), sys.getrecursionlimit()
    with ThreadPoolExecutor(4) as pool:
        plans = [str(plan) for plan in pool.map(lambda _: initlab.plan(model, X), range(8))]
    assert len(set(plans)) == 1
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), sys.getrecursionlimit()) == before[1:]


def test_buffers_made_in_inference_mode_are_put_back() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = model[1].running_mean.clone()
    with pytest.raises(initlab.InputError, match="inference tensor"):
        initlab.init_(model, example_inputs=torch.randn(4, 3, 8, 8))
    with torch.inference_mode(), torch.no_grad(), untouched(model):
        model[1].running_mean.add_(1)
    assert torch.equal(model[1].running_mean, before)
