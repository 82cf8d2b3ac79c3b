"""What planning does grows in proportion to depth: counted by its calls, or by how often it asks what made a value."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab import rng, theory
from initlab.graph import expressions, regions
from initlab.graph.flow import Flow
from initlab.graph.kept import Kept
from initlab.graph.recording import Operation, Recording
from initlab.planning.garbage import SELDOM, seldom_collected
from initlab.planning.sizes import stacks


class Residual(nn.Module):
    """Blocks without norms, so that nothing ends a walk back along the stream."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(depth))
        self.read = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return self.read(x)


def plain(depth: int) -> nn.Module:
    return nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(8, 8), nn.Tanh())), nn.Linear(8, 3))


class Composed(nn.Module):
    """Blocks whose weights are products of parameters, beside the stream."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.parts = nn.ParameterList(nn.Parameter(torch.randn(8, 8)) for _ in range(2 * depth))
        self.read = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for first, second in zip(self.parts[::2], self.parts[1::2], strict=True):
            x = x + torch.relu(nn.functional.linear(x, first @ second))
        return self.read(x)


@pytest.mark.parametrize(
    ("build", "depths"), [(Residual, (40, 80, 160)), (plain, (40, 80, 160)), (Composed, (4, 8, 16))]
)
def test_twice_the_depth_is_twice_the_work(
    build: Callable[[int], nn.Module], depths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any) -> Any:
            nonlocal asked
            asked += 1
            return method(*args)

        return ask

    for name in ("producer", "consumers"):
        monkeypatch.setattr(Recording, name, counted(getattr(Recording, name)))
    counts = []
    for depth in depths:
        asked = 0
        initlab.plan(build(depth), torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
        counts.append(asked)
    assert counts[2] - counts[1] < 2.5 * (counts[1] - counts[0])


class Transformed(nn.Module):
    """Tokens through pre-norm blocks, with what recipes ask of: branch ends, a table, a read-out with a bias."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.table, self.read = nn.Embedding(8, 4), nn.Linear(4, 8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.Tanh()) for _ in range(depth))
        self.ends = nn.ModuleList(nn.Linear(4, 4) for _ in range(depth))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for block, end in zip(self.blocks, self.ends, strict=True):
            x = x + end(block(x))
        return self.read(x)


def calls_of(model: nn.Module, x: torch.Tensor, policy: str = "auto") -> int:
    """How often a plan of a model calls or goes on with a Python function, what a process computes once left out."""
    calls, before = 0, sys.getprofile()
    initlab.plan(model, x, policy)

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(called)
    try:
        initlab.plan(model, x, policy)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("policy", ["gpt2", "retinanet"])
def test_recipes_ask_each_parameter_for_its_role_in_proportion_to_depth(policy: str) -> None:
    counts = [calls_of(Transformed(depth), torch.arange(8)[None], policy) for depth in (10, 20, 40)]
    assert counts[2] - counts[1] < 2.2 * (counts[1] - counts[0])


class Steps(nn.Module):
    """The same layers at every step."""

    def __init__(self, step: Step, length: int) -> None:
        super().__init__()
        self.of_x, self.of_h, self.read = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.step, self.length = step, length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x = self.of_x(x)
        for _ in range(self.length):
            h = self.step(self, x, h)
        made: torch.Tensor = self.read(h)
        return made


Step = Callable[[Steps, torch.Tensor, torch.Tensor], torch.Tensor]
STEPS: dict[str, Step] = {
    "a layer of the input added": lambda net, x, h: h + net.of_h(x) + torch.tanh(h),
    "a layer of the state added to one of the input": lambda net, x, h: torch.tanh(net.of_x(x) + net.of_h(h)),
    "weighed streams": lambda net, x, h: 0.5 * h + torch.relu(net.of_h(h)) * torch.sigmoid(h),
}


@pytest.mark.parametrize("kind", STEPS)
def test_steps_of_a_recurrence_are_not_walked_again_for_each(kind: str) -> None:
    """Five times 400 steps took 30 times as long: each sum was walked back to the first step."""
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    counts = [calls_of(Steps(STEPS[kind], length), x) for length in (40, 80, 160)]
    assert counts[2] - counts[1] < 2.2 * (counts[1] - counts[0])


class Routed(nn.Module):
    """Experts, each of which takes the rows that a router sends to it."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.router, self.read = nn.Linear(8, experts), nn.Linear(8, 3)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(experts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares, chosen = self.router(x).softmax(-1).topk(2, -1)
        made = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, place = (chosen == number).nonzero(as_tuple=True)
            made = made.index_add(0, rows, shares[rows, place, None] * torch.tanh(expert(x[rows])))
        return self.read(made)


class Mixed(nn.Module):
    """Experts that all run, each weighed by its share."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.router, self.read = nn.Linear(8, experts), nn.Linear(8, 3)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(experts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = self.router(x).softmax(-1)
        return self.read(sum(shares[:, i, None] * expert(x).tanh() for i, expert in enumerate(self.experts)))


def test_shares_of_many_experts_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, counts = lengths_of_runs(monkeypatch), []
    for experts in (8, 16):
        ran.clear()
        initlab.plan(Mixed(experts), torch.randn(64, 8, generator=torch.Generator().manual_seed(0)))
        counts.append(len(ran))
    assert 0 < counts[1] <= counts[0]


def lengths_of_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Takes the number of operations of every run of a region from here on."""
    ran, again = list[int](), regions._again

    def counted(
        flow: Flow, operations: list[Operation], region: int
    ) -> Callable[[torch.Tensor], dict[int, torch.Tensor]]:
        run = again(flow, operations, region)

        def once(numbers: torch.Tensor) -> dict[int, torch.Tensor]:
            ran.append(len(operations))
            return run(numbers)

        return once

    monkeypatch.setattr(regions, "_again", counted)
    return ran


def test_masks_of_many_experts_are_not_run_on_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = lengths_of_runs(monkeypatch)
    initlab.plan(Routed(16), torch.randn(64, 8, generator=torch.Generator().manual_seed(0)))
    assert len(ran) < 16 * 100  # 920 an expert where each one's mask is measured


class Chain(nn.Module):
    """A long way without weights to a few numbers."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.first, self.last, self.length = nn.Linear(8, 4), nn.Linear(2, 3), length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for _ in range(self.length):
            x = torch.cumsum(torch.sin(x), -1)
        return self.last(torch.cat([x.amax(-1, keepdim=True), x.std(-1, keepdim=True)], -1))


def test_a_long_way_to_few_numbers_is_run_again_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = lengths_of_runs(monkeypatch)
    initlab.plan(Chain(20), torch.randn(2, 8, generator=torch.Generator().manual_seed(0)))
    each = [length for length in dict.fromkeys(runs) if length > 16]
    assert each
    assert all(runs.count(length) * length <= 3 * 2 * (regions._CALLS + 17 * length) for length in each)


def test_functions_are_integrated_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    first = initlab.plan(plain(7), x)
    for name in ("moments", "correlation_map"):
        monkeypatch.setattr(expressions, name, None)
    monkeypatch.setattr(stacks, "law_for", None)
    assert initlab.plan(plain(7), x).entries == first.entries


def test_a_residual_net_of_relu_integrates_no_more_where_it_is_deeper(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for depth in (20, 40):
        calls: list[int] = []
        monkeypatch.setattr(expressions, "KEPT", Kept())
        monkeypatch.setattr(expressions, "moments", lambda *args, calls=calls: calls.append(1) or theory.moments(*args))
        initlab.plan(Residual(depth), torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
        counts.append(len(calls))
    assert counts[0] == counts[1] <= 2


def test_random_states_are_put_back_as_often_whatever_the_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, put_back = [], rng.set_random_states
    for depth in (20, 40):
        calls: list[int] = []
        monkeypatch.setattr(rng, "set_random_states", lambda states, calls=calls: calls.append(1) or put_back(states))
        initlab.plan(Residual(depth), torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
        counts.append(len(calls))
    assert counts[0] == counts[1]


def test_the_collector_is_as_it_was_after_a_plan() -> None:
    before = gc.get_threshold()
    with seldom_collected(), seldom_collected():
        assert gc.get_threshold()[0] >= SELDOM
    assert gc.get_threshold() == before
    gc.set_threshold(0)
    try:
        with seldom_collected():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)


def test_a_table_whose_padding_stands_first_is_not_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_sizes: list[int] = []
    unique = torch.unique

    def counted(values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        sorted_sizes.append(values.numel())
        return unique(values, *args, **kwargs)

    monkeypatch.setattr(torch, "unique", counted)
    model = nn.Sequential(nn.Embedding(100, 512, padding_idx=0), nn.Linear(512, 4))
    assert initlab.plan(model, torch.arange(8)).entries[0].action == "write"
    assert max(sorted_sizes, default=0) < 100 * 512
