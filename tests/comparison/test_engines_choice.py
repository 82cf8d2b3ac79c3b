"""What can be stacked and how, what is refused, and that `auto` chooses what works and says so."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initlab.errors import InputError
from initlab.schemes import get_scheme
from initlab.training.engines import get_engine
from initlab.training.engines.auto import Trial, plain_seconds
from initlab.training.engines.bundle import packs, take
from initlab.training.engines.chain import ChainTrainer
from initlab.training.engines.recognise import Affine, Elementwise, recognise
from initlab.training.engines.runs import hold_channels_last, make_models
from initlab.training.engines.sequential import SequentialSession
from initlab.training.engines.stacked import TIMED_STEPS, StackedEngine, StackedSession
from initlab.training.task import RunSpec, Task


class Written(nn.Module):
    """A chain that is written out in a forward method."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.tanh(F.elu(self.a(x.flatten(1)), alpha=0.5)))


class Skips(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x.flatten(1))
        return self.b(h + torch.relu(h))


class Scales(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.a(x.flatten(1)))) * 2


class TrainsOtherwise(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x.flatten(1))
        return self.b(torch.relu(h) if self.training else h)


class Repeats(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(self.a(x.flatten(1))))


class Noisy(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x + 0.01 * torch.randn_like(x))


class Branches(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x.flatten(1))
        return self.b(h if float(h.sum()) > 0 else -h)


class Hidden(nn.Module):
    """Holds a drawn tensor that is no parameter and no buffer, so that no two builds compute the same."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.last = torch.randn(6, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(x.flatten(1) @ self.features.to(x.dtype)))


CHAINS = [
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), ["Affine"]),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.ReLU(inplace=True)), ["Affine", "relu"]),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.Hardtanh(-2, 2)), ["Affine", "hardtanh"]),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.GELU("tanh")), ["Affine", "gelu"]),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.SELU(), nn.Sigmoid()), ["Affine", "elu", "sigmoid"]),
    (Written, ["Affine", "elu", "tanh", "Affine"]),
]
NO_CHAINS = [Skips, Scales, TrainsOtherwise, Repeats, Noisy, Hidden, lambda: nn.Conv1d(2, 2, 1)]


@pytest.mark.parametrize(("build", "expected"), CHAINS)
def test_chains_are_recognised_however_they_are_written(build, expected: list[str]) -> None:
    stages = recognise(build(), torch.randn(4, 2, 3))
    assert stages is not None
    assert [stage.name if isinstance(stage, Elementwise) else "Affine" for stage in stages] == expected
    assert all(isinstance(stage, Affine | Elementwise) for stage in stages)


@pytest.mark.parametrize("build", NO_CHAINS)
def test_what_is_no_chain_is_not_taken_for_one(build) -> None:
    assert recognise(build(), torch.randn(4, 2, 3)) is None


FUNCTIONS = [
    nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(0.2), nn.LeakyReLU(-0.3), nn.ELU(0.7), nn.SELU(), nn.CELU(0.5),
    nn.SiLU(), nn.Softplus(2.0, 3.0), nn.Hardtanh(-0.5, 0.7), nn.ReLU6(), nn.GELU(), nn.GELU("tanh"),
    nn.Sequential(nn.Softplus(), nn.Tanh(), nn.LeakyReLU()),
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_derivatives_written_out_equal_autograd(function: nn.Module) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 5), function, nn.Linear(5, 4), function, nn.Linear(4, 3), function)

    x, y = torch.randn(64, 6) * 3, torch.randn(64, 3)
    task = Task(build, (x, y), (x, y), optimizer="sgd", batch_size=16, steps=10, dtype=torch.float64)
    specs = [RunSpec(str(seed), "built", None, seed, 0.05) for seed in (0, 1)]
    stacked = get_engine("stacked").open(task, specs)
    assert isinstance(stacked._trainers[0], ChainTrainer)
    found, expected = stacked.advance(10), get_engine("sequential").open(task, specs).advance(10)
    for key, one in expected.items():
        np.testing.assert_allclose(found[key].losses, one.losses, rtol=1e-9)


def task(build, steps: int = 4) -> Task:
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(64, 2, 3, generator=generator), torch.randint(0, 3, (64,), generator=generator)
    return Task(build, (x, y), (x, y), optimizer="sgd", batch_size=16, steps=steps)


def specs(count: int = 3) -> list[RunSpec]:
    return [RunSpec(str(seed), "built", None, seed, 0.05) for seed in range(count)]


REFUSED = [
    (Noisy, "draws random numbers other than dropout's"),
    (Branches, r"calling \.item\(\) on a Tensor;"),
    (Hidden, r"has loss .* in the stack and .* alone"),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3).requires_grad_(False)), "no parameter to train"),
]


@pytest.mark.parametrize(("build", "why"), REFUSED)
def test_what_cannot_be_stacked_is_refused_and_auto_trains_it_otherwise(build, why: str) -> None:
    with pytest.raises(InputError, match=why):
        StackedEngine().open(task(build), specs())
    trial = Trial(task(build), specs(), make_models(task(build), specs()))
    _, timings = trial.timings()
    assert list(timings.seconds) == ["sequential"]
    assert timings.refused
    trial.settle("sequential")
    assert {one.steps for one in trial.advance(4).values()} == {4}
    plain = get_engine("sequential").open(task(build), specs())
    assert {one.steps for one in plain.advance(4).values()} == {4}


def test_models_of_different_shapes_are_not_stacked_but_trained() -> None:
    widths = itertools.cycle([4, 5, 6])

    def build() -> nn.Module:
        width = next(widths)
        return nn.Sequential(nn.Flatten(), nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))

    with pytest.raises(InputError, match="differ in name or shape"):
        StackedEngine().open(task(build), specs())
    assert set(get_engine("auto").open(task(build), specs()).advance(4)) == {"0", "1", "2"}


def test_a_gradient_that_the_stack_would_get_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))

    from initlab.training.engines import elementwise

    wrong = elementwise.Function(
        elementwise.ELEMENTWISE["tanh"].forward, lambda g, y, a, out: out.copy_(g * (1 - y)), from_output=True
    )
    monkeypatch.setitem(elementwise.ELEMENTWISE, "tanh", wrong)
    with pytest.raises(InputError, match=r"gradient of '1\.(weight|bias)' differs"):
        StackedEngine().open(task(build), specs())


def test_auto_says_what_it_chose_and_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))

    short = get_engine("auto").open(task(build), specs())
    assert short.plan == "sequential"
    assert short.choice.startswith("sequential: one run after another (about ")
    monkeypatch.setattr("initlab.training.engines.auto.SHORT", 0.0)
    one_core = get_engine("auto").open(task(build), specs())
    assert "a step of all 3 runs: " in one_core.choice
    assert " ms one after another" in one_core.choice
    assert " ms 2 at once" in one_core.choice
    torch.set_num_threads(2)
    workers = get_engine("auto").open(task(build), specs(8))
    assert "a step of all 8 runs: " in workers.choice
    expected = get_engine("sequential").open(task(build), specs(8)).advance(4)
    for key, one in workers.advance(4).items():
        np.testing.assert_allclose(one.losses, expected[key].losses, rtol=1e-5)
    workers.close()


@pytest.mark.parametrize(
    ("seeds", "size", "expected"),
    [
        ([0, 0, 0, 1, 1, 1], 3, [[0, 1, 2], [3, 4, 5]]),
        ([0, 0, 0, 1, 1, 1], 4, [[0, 1, 2], [3, 4, 5]]),
        ([0, 1, 0, 1, 2], 4, [[0, 2, 1, 3], [4]]),
        ([0, 0, 0, 0, 0], 2, [[0], [1, 2], [3, 4]]),
        ([0, 1, 2], 9, [[0, 1, 2]]),
    ],
)
def test_stacks_keep_data_orders_whole_where_they_fit(seeds: list, size: int, expected: list) -> None:
    runs = [RunSpec(f"{place}", "built", None, seed, 0.1) for place, seed in enumerate(seeds)]
    assert packs(task(Written), runs, size) == expected


def test_the_size_of_stacks_is_measured_from_one_run_up() -> None:
    session = StackedSession(task(Written))
    session.take(specs(5), make_models(task(Written), specs(5)))
    assert set(session.timings) <= {1, 2, 4, 5}
    assert {1, 2} <= set(session.timings)
    assert session.split == min(session.timings, key=lambda size: session.timings[size])


def images(dropout: bool) -> nn.Module:
    drop = [nn.Dropout(0.2)] if dropout else []
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), *drop, nn.Flatten(), nn.Linear(8 * 36, 3))


def test_channels_last_is_tried_where_it_changes_nothing_but_rounding() -> None:
    x, y = torch.randn(64, 2, 6, 6), torch.randint(0, 3, (64,))
    plans = {}
    for dropout in (False, True):
        given = Task(lambda drop=dropout: images(drop), (x, y), (x, y), optimizer="sgd", batch_size=16, steps=5)
        _, timings = Trial(given, specs(), make_models(given, specs())).timings()
        plans[dropout] = [plan for plan in timings.seconds if plan.startswith("sequential")]
    assert plans == {False: ["sequential", "sequential:channels_last"], True: ["sequential"]}
    task_ = Task(lambda: images(False), (x, y), (x, y), optimizer="sgd", batch_size=16, steps=5, dtype=torch.float64)
    plain = get_engine("sequential").open(task_, specs()).advance(5)
    last = get_engine("sequential:channels_last").open(task_, specs())
    assert last.plan == "sequential:channels_last"
    for key, one in last.advance(5).items():
        np.testing.assert_allclose(one.losses, plain[key].losses, rtol=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_number_of_channels_are_convolved_channels_last(channels: int) -> None:
    """A weight of one input channel lies both ways at once; its convolution must not fall back."""
    model = hold_channels_last(nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3)))
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    h = torch.randn(2, channels, 12, 12)
    for layer in model:
        h = layer(h)
        assert h.stride(1) == 1
    h.sum().backward()
    assert all(torch.equal(weight, weights[name]) for name, weight in model.named_parameters())
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_stack_is_no_larger_than_fits_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Adam's four tensors a parameter (itself, gradient, two moments), a quarter of the free memory's worth."""
    from initlab.training.engines import agree, machine, optim

    parameters = 4 * (6 * 3 + 3)
    given = replace(task(lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3))), optimizer="adam", options={})
    taken: list[int] = []
    monkeypatch.setattr(agree, "take", lambda bundle, places: taken.append(len(places)) or take(bundle, places))
    for free, size in ((4 * 4 * parameters * 3, 3), (0, 1)):
        monkeypatch.setattr(optim, "memory_budget", lambda device, free=free: free)
        session = StackedSession(given)
        session.take(specs(5), make_models(given, specs(5)))
        assert max(session.timings) == max(taken) == size
        taken.clear()
    whole = machine.memory_budget()
    monkeypatch.setattr(machine, "_sharers", 4)
    assert machine.memory_budget() < whole / 2


class Fragile(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * torch.exp(self.a.weight.abs().max())


def test_a_run_that_diverges_is_not_what_auto_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A diverged run takes no step: by its time the longest study would be over at once."""
    taken: list[tuple[str, bool]] = []
    step = SequentialSession._step

    def counted(session: SequentialSession, run: Any) -> None:
        step(session, run)
        taken.append((run.spec.key, run.diverged))

    monkeypatch.setattr(SequentialSession, "_step", counted)
    large = RunSpec("large", "large", get_scheme("normal", std=1e3), 0, 0.05)
    assert plain_seconds(task(Fragile), [large, replace(specs(1)[0], lr=1e30)]) > 0
    assert taken == [("large", True)] + [("0", False)] * (1 + TIMED_STEPS)
