"""Numbers that a model multiplies signals by: constants, and scales that are parameters or made of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab

X = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))


class Scaled(nn.Module):
    """A read-out whose logits, and a layer whose output, are multiplied by a scale of their own (as nGPT's are)."""

    def __init__(self, scale: torch.Tensor, of: Callable[[torch.Tensor], torch.Tensor], inner: str) -> None:
        super().__init__()
        self.first, self.gate, self.head = nn.Linear(32, 64), nn.Linear(64, 64), nn.Linear(64, 50)
        self.scale, self.logits = nn.Parameter(scale), nn.Parameter(torch.full((50,), 0.02))
        self.of, self.inner = of, inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.layer_norm(self.first(x), (64,))
        if self.inner == "gate":
            h = h * torch.sigmoid(self.gate(h) * self.of(self.scale))
        else:
            h = F.silu(self.gate(h) * self.of(self.scale))
        return self.head(F.layer_norm(h, (64,))) * (self.logits * 50)  # type: ignore[no-any-return]


SCALES: dict[str, tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]] = {
    "eight numbers alike": (torch.full((64,), 8.0), lambda scale: scale),
    "times a constant": (torch.full((64,), 0.02), lambda scale: scale * 400),
    "squared, brought to an axis": (
        torch.full((64,), 0.02),
        lambda scale: (scale * math.sqrt(8) / 0.02).square()[None],
    ),
    "an exponential": (torch.tensor(math.log(8.0)), torch.exp),
}


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize(("inner", "second"), [("gate", 0.1), ("silu", 1.0)])
def test_what_a_function_reads_counts_the_scale_before_it(name: str, inner: str, second: float) -> None:
    scale, of = SCALES[name]
    model = Scaled(scale, of, inner)
    plan = initlab.init_(model, example_inputs=X, seed=0)
    assert plan["gate.weight"].measured is not None
    assert plan["gate.weight"].measured[1] * 64 == pytest.approx(second)
    h = F.layer_norm(model.first(X), (64,))
    assert (model.gate(h) * of(model.scale)).square().mean().item() == pytest.approx(second, rel=0.2)


def test_logits_times_a_scale_that_is_made_of_a_parameter_are_a_read_out() -> None:
    model = Scaled(*SCALES["times a constant"], "silu")
    plan = initlab.init_(model, example_inputs=X, seed=0)
    loss = F.cross_entropy(model(X).repeat_interleave(50, 0), torch.arange(50).repeat(len(X))).item()
    assert loss / math.log(50) < 1.05
    assert plan["head.weight"].std < 0.5 / math.sqrt(64)


def test_a_scale_that_closes_a_branch_is_no_factor() -> None:
    plan = initlab.plan(Scaled(torch.full((64,), 1e-6), lambda scale: scale, "silu"), X)
    assert plan["gate.weight"].std == pytest.approx(1 / math.sqrt(64), rel=0.2)


class Divided(nn.Module):
    """A function of a number over what a layer makes."""

    def __init__(self, of: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.read, self.of = nn.Linear(32, 16), nn.Linear(16, 3), of

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read(torch.tanh(self.of(self.first(x))))  # type: ignore[no-any-return]


@pytest.mark.parametrize("of", [lambda y: 3 / y, lambda y: torch.div(3, y), lambda y: torch.div(input=3, other=y)])
def test_what_divides_a_number_is_not_multiplied_by_it(of: Callable[[torch.Tensor], torch.Tensor]) -> None:
    plan = initlab.plan(Divided(of), X)
    assert plan["first.weight"].measured is not None
    assert plan["first.weight"].measured[1] == 1.0
