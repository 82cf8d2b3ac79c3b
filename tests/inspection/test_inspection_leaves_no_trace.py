"""The model, its gradients, its modes and the random states are after an inspection what they were before."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from torch import nn

import initlab
from initlab.guest.writes import Writes
from initlab.inspection.backward import gradients


class Stateful(nn.Module):
    """Counts its calls, keeps its last activation, draws from three generators, replaces a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.calls = 0
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.last = self.fc(x)
        self.mean = 0.9 * self.mean + self.last.detach().mean(0)
        return self.last * random.random() * float(np.random.rand()) + torch.randn(6)


class Clipped(nn.Module):
    """Writes to its parameters in the forward pass, as an embedding with max_norm and weight clipping do."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 6, max_norm=0.1)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.fc.weight.clamp_(-0.01, 0.01)
        return self.fc(self.table(x).mean(1))


def frozen_norm() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    model.train()
    model[1].eval()
    return model


def with_gradients() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True), nn.Linear(5, 3))
    model(torch.randn(8, 6)).sum().backward()
    model[0].bias.requires_grad_(False)
    return model.eval()


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.Tensor]]] = {
    "batch-norm, gradients there, evaluation mode": (with_gradients, lambda: torch.randn(8, 6)),
    "a frozen batch-norm in training mode": (frozen_norm, lambda: torch.randn(8, 6)),
    "attributes, buffers and random numbers": (Stateful, lambda: torch.randn(8, 6)),
    "parameters written in the forward pass": (Clipped, lambda: torch.randint(0, 10, (8, 4))),
    "spectral norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3))),
        lambda: torch.randn(8, 6),
    ),
}


def snapshot(model: nn.Module) -> dict[str, Any]:
    return {
        "parameters": {n: (id(p), p.detach().clone(), p.requires_grad) for n, p in model.named_parameters()},
        "gradients": {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()},
        "buffers": {n: (id(b), b.clone()) for n, b in model.named_buffers()},
        "modes": {n: m.training for n, m in model.named_modules()},
        "hooks": {n: (len(m._forward_hooks), len(m._forward_pre_hooks)) for n, m in model.named_modules()},
        "attributes": {n: sorted(m.__dict__) for n, m in model.named_modules()},
        "calls": getattr(model, "calls", None),
        "torch": torch.get_rng_state(),
        "numpy": copy.deepcopy(np.random.get_state()[1:]),
        "python": random.getstate(),
        "hooks on all modules": len(nn.modules.module._global_forward_hooks),
        "grad mode": torch.is_grad_enabled(),
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("raises", [False, True])
def test_everything_is_as_it_was(name: str, raises: bool) -> None:
    build, inputs = MODELS[name]
    model, x = build(), inputs()

    def loss(output: torch.Tensor) -> torch.Tensor:
        if raises:
            raise RuntimeError("planted")
        return output.square().mean()

    before = snapshot(model)
    if raises:
        with pytest.raises(initlab.InputError, match="planted"):
            initlab.inspect(model, x, loss=loss)
    else:
        initlab.inspect(model, x, loss=loss)
    after = snapshot(model)
    changed = [key for key in before if not same(before[key], after[key])]
    assert changed == []


@pytest.mark.parametrize("name", MODELS)
def test_everything_is_as_it_was_where_a_fix_is_tried(name: str) -> None:
    build, inputs = MODELS[name]
    model, x = build(), inputs()
    before = snapshot(model)
    report = initlab.inspect(model, x, optimizer="sgd", lr=1e6)
    report.fix()
    after = snapshot(model)
    assert "rate" in [f.kind for f in report.findings]
    assert [key for key in before if not same(before[key], after[key])] == []


def test_the_same_batch_gives_the_same_report_whatever_the_random_state() -> None:
    model = nn.Sequential(nn.Linear(6, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 3))
    x = torch.randn(32, 6)
    first = initlab.inspect(model, x)
    torch.randn(1000)
    second = initlab.inspect(model, x)
    assert first.layers == second.layers
    assert first.parameters == second.parameters


def test_dropout_is_judged_as_in_training() -> None:
    model = nn.Sequential(nn.Linear(6, 400), nn.Dropout(0.5), nn.ReLU(), nn.Linear(400, 3)).eval()
    report = initlab.inspect(model, torch.randn(64, 6))
    relu = next(x for x in report.layers if x.kind == "relu")
    assert relu.counts[0] > 0.7 * sum(relu.counts)  # half of what is positive was dropped
    assert any("evaluation mode" in note for note in report.notes)
    assert not model.training


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(context: Callable[[], Any]) -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    with context():
        x = torch.randn(16, 6)
        report = initlab.inspect(model, x)
    assert all(p.grad_rms is not None for p in report.parameters)


def test_reentrant_checkpointing_is_differentiated_all_the_same() -> None:
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(checkpoint(lambda v: self.a(v).tanh(), x.requires_grad_(), use_reentrant=True))

    model, x = Checkpointed(), torch.randn(16, 6)
    report = initlab.inspect(model, x.clone())
    plain = initlab.inspect(nn.Sequential(model.a, nn.Tanh(), model.b), x.clone())
    assert [p.grad_rms for p in report.parameters] == pytest.approx([p.grad_rms for p in plain.parameters], rel=1e-6)
    assert all(p.grad is None for p in model.parameters())


class Hooked(nn.Module):
    """Two layers, of which the second is written to as gradients arrive."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.first, self.last, self.way = nn.Linear(8, 8), nn.Linear(8, 3), way
        if way == "a parameter's hook":
            self.first.weight.register_hook(self.write)
        if way == "a module's hook":
            self.first.register_full_backward_hook(self.write)

    def write(self, *given: Any) -> None:
        self.last.weight.data.mul_(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        if self.way == "a tensor's hook":
            hidden.register_hook(self.write)
        if self.way == "a checkpoint":
            hidden = torch.utils.checkpoint.checkpoint(torch.tanh, hidden, use_reentrant=True)
        out: torch.Tensor = self.last(hidden.relu())
        return out


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("way", ["", "a tensor's hook", "a parameter's hook", "a module's hook", "a checkpoint"])
def test_the_backward_pass_is_watched_where_functions_run_that_are_not_torchs(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, behind = [], [False]

    watch = Writes.__torch_dispatch__

    def counting(mode: Writes, func: Any, *given: Any, **named: Any) -> Any:
        seen.extend([func] * behind[0])
        return watch(mode, func, *given, **named)

    def backward(*args: Any, **kwargs: Any) -> Any:
        behind[0] = True
        try:
            return gradients(*args, **kwargs)
        finally:
            behind[0] = False

    monkeypatch.setattr(Writes, "__torch_dispatch__", counting)
    monkeypatch.setattr("initlab.inspection.passes.gradients", backward)
    model = Hooked(way)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    initlab.inspect(model, torch.randn(32, 8), torch.arange(32) % 3, line_probe=False)
    assert bool(seen) == bool(way)
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
