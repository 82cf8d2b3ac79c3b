"""Operations that are run again make what they made, however often and whatever else is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from functions import Of
from torch import nn

import initlab
from initlab.graph import record
from initlab.graph.replay import made_again, prepared

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 2 + x,
        lambda x: torch.cat([x, x.tanh()], -1),
        lambda x: x.split(2, -1)[1],
        lambda x: x.clone().mul_(3),
        lambda x: nn.functional.relu(x.clone(), inplace=True),
        lambda x: x.double().sum(-1),
        lambda x: torch.topk(x, 2).values,
        lambda x: x[:, x[0].argsort()],
    ],
    ids=["numbers", "a list", "parts", "in place", "in place by name", "a cast", "a named tuple", "an index"],
)
def test_prepared_operations_make_what_they_make_once(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    graph = record(Of(function), X)
    once = {graph.inputs[0]: X}
    twice = dict(once)
    for operation in graph.operations:
        once.update(made_again(operation, once.__getitem__))
        run = prepared(operation)
        run(dict(twice))
        run(twice)
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[value], twice[value]) for value in once)
    assert torch.equal(twice[graph.outputs[0]], function(X).to(twice[graph.outputs[0]].dtype))


def test_what_is_known_stays_as_it_is() -> None:
    (operation,) = record(Of(torch.tanh), X).operations
    numbers = {operation.inputs[0]: X, operation.outputs[0]: torch.zeros(1)}
    prepared(operation, known=operation.outputs)(numbers)
    assert torch.equal(numbers[operation.outputs[0]], torch.zeros(1))


class Scan(nn.Module):
    """A state that is read at each step through numbers that a layer makes, as Mamba's (Gu and Dao, 2023)."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.step, self.given, self.read, self.gate, self.out = (nn.Linear(8, 8) for _ in range(5))
        self.steps = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None].expand(-1, self.steps, -1)
        step, read = nn.functional.softplus(self.step(x))[..., None], self.read(x)
        decay, given = torch.exp(-step * torch.arange(1.0, 9.0)), step * self.given(x)[:, :, None] * x[..., None]
        state, made = torch.zeros(len(x), 8, 8), []
        for t in range(self.steps):
            state = decay[:, t] * state + given[:, t]
            made.append((state @ read[:, t, :, None])[..., 0])
        return self.out((torch.stack(made, 1) + x) * nn.functional.silu(self.gate(x)))


def test_what_every_step_of_a_long_scan_makes_is_known() -> None:
    """The first steps had taken all runs, and those after them were said to be unknown."""
    plan = initlab.plan(Scan(48), torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
    assert "not known" not in plan["out.weight"].reason
