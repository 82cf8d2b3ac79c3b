"""Values of which nothing comes: checks, logs and shapes read nothing, what is returned, kept or learned does."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import nn

from initlab.graph import SignalGraph, record


class Watched(nn.Module):
    """A linear map, and something else that is done with what it makes."""

    def __init__(self, does: str) -> None:
        super().__init__()
        self.inner, self.scale, self.does = nn.Linear(4, 4), nn.Parameter(torch.ones(4)), does
        self.kept: Any = None

    def forward(self, x: torch.Tensor) -> Any:
        made = self.inner(x)
        if self.does == "shape":
            made = made + torch.zeros_like(made[:, :1])
        elif self.does == "check":
            assert not made.isnan().any()
        elif self.does == "log":
            self.kept = (made * 2).norm().item()
        elif self.does == "keep":
            self.kept = made.square().mean()
        elif self.does == "circle":
            self.circle(made)
        elif self.does == "weigh":
            _ = made * self.scale
        elif self.does == "return":
            return {"made": torch.relu(made), "size": made.square().mean()}
        return torch.relu(made)

    @staticmethod
    def circle(made: torch.Tensor) -> None:
        held: list[Any] = [made * 2]
        held.append(held)


def kinds(graph: SignalGraph) -> list[str]:
    return [operation.kind for operation in graph.operations]


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        ("nothing", ["linear", "relu"]),
        ("shape", ["linear", "add", "relu"]),
        ("check", ["linear", "relu"]),
        ("log", ["linear", "relu"]),
        ("keep", ["linear", "square", "mean", "relu"]),
        ("weigh", ["linear", "mul", "relu"]),
        ("return", ["linear", "relu", "square", "mean"]),
    ],
)
def test_only_operations_of_which_something_comes_are_recorded(does: str, expected: list[str]) -> None:
    graph = record(Watched(does), torch.ones(2, 4))
    assert kinds(graph) == expected
    for place, operation in enumerate(graph.operations):
        assert operation.index == place
        assert all(graph.producer(value) is operation for value in operation.outputs)
        assert all(value in graph.values for value in operation.inputs)


def test_a_recording_hangs_on_no_moment_of_collection() -> None:
    def recorded(collected_after: int) -> list[str]:
        before = gc.get_threshold()
        gc.set_threshold(collected_after)
        try:
            return kinds(record(Watched("circle"), torch.ones(2, 4)))
        finally:
            gc.set_threshold(*before)

    assert recorded(1) == recorded(1_000_000)
    assert gc.isenabled()


def test_what_the_model_keeps_leaves_and_a_state_that_nobody_reads_does_not() -> None:
    graph = record(Watched("keep"), torch.ones(2, 4))
    assert graph.leaves(graph.operations[2].outputs[0])

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _, (hidden, _) = self.lstm(x)
            return hidden[-1]

    last = record(Last(), torch.ones(2, 5, 3))
    (lstm,) = (operation for operation in last.operations if operation.kind == "lstm")
    assert not any(last.leaves(value) for value in lstm.outputs)
