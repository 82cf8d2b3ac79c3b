"""Compiled modules are recorded and inspected as they are written: the compiler sees neither them nor the watching."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))


def _in_place(backend: Callable[..., Any]) -> nn.Module:
    net = _net()
    net.compile(backend=backend)
    return net


WAYS: dict[str, Callable[[Callable[..., Any]], nn.Module]] = {
    "the whole model": lambda backend: torch.compile(_net(), backend=backend),
    "module.compile()": _in_place,
    "one layer": lambda backend: nn.Sequential(torch.compile(_net(), backend=backend), nn.Identity()),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_compiled_while_a_pass_is_watched(way: str) -> None:
    compiled: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    model, plain, x = WAYS[way](backend), _net(), torch.randn(16, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = initlab.plan(model, x)
        report = initlab.inspect(model, x, torch.arange(16) % 3)
    expected = initlab.plan(plain, x)
    assert compiled == []
    assert [(e.std, e.gain) for e in plan.entries] == [(e.std, e.gain) for e in expected.entries]
    assert [layer.kind for layer in report.layers] == ["linear", "relu", "linear"]
    model(x)
    after = len(compiled)
    torch.compiler.reset()
    WAYS[way](backend)(x)
    assert after == len(compiled) - after  # and it compiles afterwards as one that nobody watched
