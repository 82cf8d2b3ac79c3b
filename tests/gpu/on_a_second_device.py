"""What holds on the device of `second_device.py` as on the CPU; `test_second_device.py` runs these in a process."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from second_device import GENERATOR, refuse_doubles
from test_on_a_gpu import MODELS, TRAINED, data, mlp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import initlab
from initlab.guest import doubles
from initlab.rng import random_states_kept


class Masked(nn.Module):
    """Attention with a mask, positions and a scale that are buffers, constants and functions of parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.head, self.scale = nn.Linear(8, 10), nn.Parameter(torch.zeros(8))
        self.register_buffer("mask", torch.ones(8, 8).tril().bool())
        self.register_buffer("positions", torch.linspace(-1, 1, 64).reshape(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unflatten(1, (8, 8)) + self.positions
        read = F.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x), attn_mask=self.mask)
        scale = F.softplus(self.scale) * torch.full((1,), 0.5, device=x.device)
        lower = torch.ones(8, 8, device=x.device).tril().to(x.device)
        scores = (read @ read.transpose(1, 2) / math.sqrt(8)).masked_fill(lower == 0, -torch.inf).softmax(-1)
        return self.head(((x + self.out(read) * scale) + scores @ x).mean(1))


class Tied(nn.Module):
    """Token ids made of the samples, a table that is the read-out too, and a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.cell, self.head = nn.Embedding(10, 12), nn.GRU(12, 12, batch_first=True), nn.Linear(12, 10)
        self.head.weight = self.table.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(self.table((x[:, :6] * 3).long().clamp(0, 9)))[0][:, -1])


BUILDS: dict[str, Callable[[], nn.Module]] = {**MODELS, "masked": Masked, "tied": Tied}
each = pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)


@pytest.fixture(autouse=True)
def _its_generator_stays() -> Iterator[None]:
    before = GENERATOR.get_state()
    yield
    assert torch.equal(GENERATOR.get_state(), before)


@pytest.fixture
def single(request: pytest.FixtureRequest) -> Iterator[None]:
    """The device refuses doubles in the test, where it is asked to."""
    refuse_doubles(request.param)
    doubles._tried.cache_clear()
    yield
    refuse_doubles(False)
    doubles._tried.cache_clear()


with_and_without_doubles = pytest.mark.parametrize("single", [False, True], ids=["doubles", "none"], indirect=True)
without_doubles = pytest.mark.parametrize("single", [True], ids=["none"], indirect=True)


def pair(build: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    """A model and a copy of it on the second device."""
    with random_states_kept(0):
        one = build()
    torch.__future__.set_swap_module_params_on_conversion(True)  # so `.to` keeps a parameter's object and ties
    try:
        return one, copy.deepcopy(one).to("second")
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


def same(one: nn.Module, other: nn.Module, **tolerance: float) -> None:
    for (name, here), there in zip(one.named_parameters(), other.parameters(), strict=True):
        assert there.device.type == "second"
        torch.testing.assert_close(there.detach().cpu(), here.detach(), msg=lambda m, n=name: f"{n}: {m}", **tolerance)


@each
@with_and_without_doubles
@pytest.mark.usefixtures("single")
def test_plan(build: Callable[[], nn.Module]) -> None:
    one, other = pair(build)
    x, _ = data(128)
    for given in (x, x.to("second")):
        for here, there in zip(initlab.plan(one, x).entries, initlab.plan(other, given).entries, strict=True):
            assert here.reason == there.reason
            assert (there.std or 0.0) == pytest.approx(here.std or 0.0, rel=1e-4)


@each
@pytest.mark.parametrize(
    ("policy", "dtype"),
    [
        *((policy, torch.float32) for policy in ("he_normal", "truncated_normal", "orthogonal", "auto")),
        *(("he_normal", dtype) for dtype in (torch.bfloat16, torch.float16, torch.float64)),
    ],
)
def test_init(build: Callable[[], nn.Module], policy: str, dtype: torch.dtype) -> None:
    one, other = (model.to(dtype) for model in pair(build))
    for model in (one, other):
        initlab.init_(model, policy, seed=3)
    same(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("build", [*MODELS.values(), Tied], ids=[*MODELS, "tied"])
def test_a_start_of_its_own_from_named_streams(build: Callable[[], nn.Module]) -> None:
    one, other = pair(build)
    for model in (one, other):
        initlab.reinit_(model, seed=3)
    same(one, other, rtol=0, atol=0)


def test_a_draw_without_a_law_of_ours() -> None:
    one, other = pair(lambda: nn.Linear(8, 8))
    for model in (one, other):
        before = torch.get_rng_state()
        with torch.no_grad(), initlab.streams(model, seed=3):
            model.weight.copy_(torch.poisson(torch.full((8, 8), 4.0, device=model.weight.device)))
        assert torch.equal(torch.get_rng_state(), before)
    assert other.weight.std() > 0.5


@without_doubles
@pytest.mark.usefixtures("single")
@pytest.mark.parametrize("build", [BUILDS["cnn"], BUILDS["masked"]], ids=["cnn", "masked"])
def test_draws_where_there_are_no_doubles(build: Callable[[], nn.Module]) -> None:
    for draw in (
        lambda model: initlab.init_(model, "orthogonal", seed=3),
        lambda model: initlab.init_(model, "truncated_normal", seed=3),
        lambda model: initlab.init_(model, "auto", seed=3),
        lambda model: initlab.init_(model.bfloat16(), "he_normal", seed=3),
        lambda model: initlab.reinit_(model.float(), seed=3) if build is not Masked else None,
    ):
        one, other = pair(build)
        for model in (one, other):
            draw(model)
        same(one, other, rtol=0, atol=0)


@with_and_without_doubles
@pytest.mark.usefixtures("single")
@pytest.mark.parametrize(
    ("build", "given"),
    [
        *((build, "there") for build in BUILDS.values()),
        *((BUILDS["cnn"], given) for given in ("tensors", "arrays", "loader")),
    ],
)
def test_inspect(build: Callable[[], nn.Module], given: str) -> None:
    x, y = data(64)
    one, other = pair(build)
    for model in (one, other):
        initlab.init_(model, "he_normal", seed=3)
    inputs: dict[str, Any] = {
        "there": (x.to("second"), y.to("second")),
        "tensors": (x, y),
        "arrays": (x.numpy(), y.numpy()),
        "loader": (DataLoader(TensorDataset(x, y), batch_size=64),),
    }
    here, there = initlab.inspect(one, x, y), initlab.inspect(other, *inputs[given])
    assert there.verdict == here.verdict
    assert [f.kind for f in there.findings] == [f.kind for f in here.findings]
    columns = here.to_frame().select_dtypes("number").columns
    np.testing.assert_allclose(there.to_frame()[columns], here.to_frame()[columns], rtol=2e-2, atol=1e-4)


@each
def test_inspect_where_only_deterministic_algorithms_may_run(build: Callable[[], nn.Module]) -> None:
    x, y = data(64)
    _, other = pair(build)
    torch.use_deterministic_algorithms(True)
    try:
        initlab.init_(other, "auto", example_inputs=x, seed=3)
        for targets, loss in ((y, None), (torch.randn(64, 10, generator=torch.Generator().manual_seed(0)), "l1")):
            initlab.inspect(other, x, targets, loss)
    finally:
        torch.use_deterministic_algorithms(False)


class Spread(nn.Module):
    """Its first half on the second device, the rest and its answer on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 32).to("second"), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x.to("second"))).cpu())


@pytest.mark.parametrize("loss", [None, "cross_entropy", nn.CrossEntropyLoss()], ids=["guessed", "named", "given"])
@pytest.mark.parametrize("where", ["cpu", "second"])
def test_targets_come_to_the_answer(where: str, loss: Any) -> None:
    x, y = (part.to(where) for part in data(64))
    for model in (Spread(), nn.Linear(64, 10).to("second"), nn.Linear(64, 10)):
        assert initlab.inspect(model, x, y, loss).verdict


@with_and_without_doubles
@pytest.mark.usefixtures("single")
def test_a_model_on_two_devices() -> None:
    x, y = data(64)
    model = Spread()
    initlab.init_(model, "auto", example_inputs=x)
    for fit in FITS.values():
        fit(model)
    assert initlab.inspect(model, x, y, probe=2).verdict == "healthy"


@with_and_without_doubles
@pytest.mark.usefixtures("single")
def test_a_coordinate_check() -> None:
    x, y = data(64)
    build = lambda width: nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)).to("second")  # noqa: E731
    assert initlab.coordinate_check(build, (16, 32), inputs=x, targets=y, seeds=1, steps=2)


@each
@with_and_without_doubles
@pytest.mark.usefixtures("single")
def test_audit(build: Callable[[], nn.Module]) -> None:
    one, other = pair(build)
    assert str(initlab.audit(other)) == str(initlab.audit(one))


def _batch(fit: Callable[..., Any]) -> Callable[[nn.Module], Any]:
    return lambda model: fit(model, data(128)[0])


def _pair(fit: Callable[..., Any], **given: Any) -> Callable[[nn.Module], Any]:
    return lambda model: fit(model, data(128), **given)


FITS: dict[str, Callable[[nn.Module], Any]] = {
    "lsuv": _batch(initlab.fit.lsuv_),
    "data dependent": _batch(initlab.fit.data_dependent_),
    "gradinit": _pair(initlab.fit.gradinit_, steps=3),
    "metainit": _pair(initlab.fit.metainit_, steps=3),
    "finetune": _pair(initlab.fit.finetune_, epochs=1),
}


@each
@with_and_without_doubles
@pytest.mark.usefixtures("single")
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_fits(fit: Callable[[nn.Module], Any], build: Callable[[], nn.Module]) -> None:
    one, other = pair(build)
    try:
        fit(one)
    except initlab.InputError:
        with pytest.raises(initlab.InputError):
            fit(other)
        return
    fit(other)
    same(one, other, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize(("name", "engine"), [pair for pair in TRAINED if pair[1] != "processes"])
def test_compare(name: str, engine: str) -> None:
    given: dict[str, Any] = {"schemes": ["he_normal", "xavier_normal"], "seeds": 2, "steps": 8, "lr": 1e-3}
    there = initlab.compare(MODELS[name], data(), data(128), engine=engine, device="second:0", **given)
    here = initlab.compare(MODELS[name], data(), data(128), engine=engine, **given)
    for one, other in zip(here.runs, there.runs, strict=True):
        np.testing.assert_allclose(other.tests[-1, 1], one.tests[-1, 1], rtol=1e-2)


@with_and_without_doubles
@pytest.mark.usefixtures("single")
@pytest.mark.parametrize("where", ["cpu", "second"])
@pytest.mark.parametrize("device", ["cpu", "second:0"])
def test_models_and_data_of_either_device(where: str, device: str) -> None:
    x, y = (part.to(where) for part in data())
    result = initlab.compare(
        lambda: mlp().to(where), (x, y), (x, y), ["he_normal", "zeros"], 2, steps=30, device=device
    )
    assert result.best == "he_normal"


@without_doubles
@pytest.mark.usefixtures("single")
def test_doubles_are_refused_where_there_are_none() -> None:
    with pytest.raises(initlab.InputError, match="device 'second:0' has no double precision"):
        initlab.compare(mlp, data(), data(), ["zeros"], device="second:0", dtype=torch.float64)


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(initlab.InputError, match="one of 1 devices of this machine, such as 'second:0'; got 'cuda'"):
        initlab.compare(mlp, data(), data(), ["zeros"], device="cuda")


DEFAULTED: dict[str, Callable[[nn.Module, Any, Any], Any]] = {
    "plan of a shape": lambda model, x, y: initlab.plan(model, tuple(x.shape)),
    "init_": lambda model, x, y: initlab.init_(model, "auto", example_inputs=x),
    "inspect": lambda model, x, y: initlab.inspect(model, x, y, probe=2),
    "audit": lambda model, x, y: initlab.audit(model, example_inputs=x),
    **{f"fit {name}": lambda model, x, y, fit=fit: fit(model) for name, fit in FITS.items() if name != "finetune"},
    "compare": lambda model, x, y: initlab.compare(mlp, (x, y), (x, y), ["he_normal"], 1, steps=2, device="second:0"),
    "compare on the CPU": lambda model, x, y: initlab.compare(mlp, (x, y), (x, y), ["zeros"], 1, steps=2, device="cpu"),
    "search": lambda model, x, y: initlab.search(mlp, (x, y), (x, y), (x, y), trials=1, steps=2, device="second:0"),
    "reproduce": lambda model, x, y: initlab.experiments.run("zero-constant-symmetry", small=True),
}


@pytest.mark.parametrize("call", DEFAULTED.values(), ids=DEFAULTED)
def test_what_is_made_beside_the_model_does_not_follow_the_default_device(call: Callable[..., Any]) -> None:
    x, y = data(128)
    _, other = pair(mlp)
    with torch.device("second"):
        call(other, x, y)


def test_machines_are_trained_on_the_cpu_wherever_the_data_lie() -> None:
    x = data(64)[0].sigmoid()
    for given in (x, x.to("second")):
        model = nn.Sequential(nn.Linear(64, 8), nn.Sigmoid(), nn.Linear(8, 4)).to("second")
        with torch.device("second"):
            found = initlab.fit.pretrain_dbn_(model, given, epochs=1)
            assert found.rbms[0].sample(2, steps=2).shape == (2, 64)
