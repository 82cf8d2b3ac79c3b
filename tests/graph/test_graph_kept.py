"""What is kept of functions for the process: told apart by all that they compute with, bounded, shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

import initlab
from initlab.graph import expressions, record
from initlab.graph.kept import Kept

F = nn.functional
X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))


class Between(nn.Module):
    """A function between two layers."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.function = nn.Linear(8, 8), nn.Linear(8, 8), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(self.function(self.first(x)))
        return made


def second(function: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """E[φ²] of what reaches the last layer."""
    feeds = record(Between(function), X).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment is not None
    return feeds.second_moment


def number(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """tanh(c·x), c being computed of a constant while the model runs: nothing but its value tells one from another."""
    return lambda x: torch.tanh(x * torch.exp(torch.tensor(value)))


APART: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]] = {
    "argument by position": (lambda x: F.leaky_relu(x, 0.1), lambda x: F.leaky_relu(x, 0.5)),
    "argument by name": (lambda x: F.elu(x, alpha=1.0), lambda x: F.elu(x, alpha=3.0)),
    "mode": (lambda x: F.gelu(x * 2), lambda x: F.gelu(x * 2, approximate="tanh")),
    "a computed constant": (number(0.0), number(1.0)),
    "one and one half": (lambda x: torch.pow(torch.sigmoid(x), 1), lambda x: torch.pow(torch.sigmoid(x), 0.5)),
    "order": (lambda x: torch.relu(x) - torch.tanh(x), lambda x: torch.tanh(x) - torch.relu(x) * 2),
}


@pytest.mark.parametrize("case", APART)
def test_functions_that_differ_are_told_apart(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together = [second(function) for function in APART[case]]
    for found, function in zip(together, APART[case], strict=True):
        monkeypatch.setattr(expressions, "KEPT", Kept())
        assert found == second(function)
    assert together[0] != together[1]


@pytest.mark.parametrize("scale", [0.01, 1.0, 7.0])
@pytest.mark.parametrize("name", ["relu", "leaky", "abs", "squared relu", "relu of a sum"])
def test_functions_that_scale_are_integrated_at_one(name: str, scale: float) -> None:
    """E[φ(s·z)²] = s^2d·E[φ(z)²]: as theory integrates it at that size."""
    functions: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "relu": torch.relu,
        "leaky": lambda x: F.leaky_relu(x, 0.3),
        "abs": torch.abs,
        "squared relu": lambda x: torch.relu(x) * torch.relu(x),
        "relu of a sum": lambda x: torch.relu(x + torch.abs(x) * 0.25 - x),
    }
    function = functions[name]
    plain = initlab.theory.moments(lambda z: function(torch.as_tensor(scale * z))).second
    graph = record(Between(function), X).sized({"first.weight": scale**2}, {})
    feeds = graph.uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(plain, rel=1e-12)


def test_what_is_asked_for_least_recently_goes_first_and_threads_agree() -> None:
    kept, asked = Kept(8), list[int]()

    def square(number: int) -> int:
        asked.append(number)
        return number * number

    def ask(first: int) -> None:
        for turn in range(200):
            key = (first + turn) % 12
            assert kept.of((key,), partial(square, key)) == key * key

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) <= 8
    assert kept.of((asked[-1],), lambda: -1) == asked[-1] ** 2
