"""What holds on a GPU: the bits of `init_`, the numbers of `inspect`, each engine of `compare` (`make test-gpu`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.training.engines import get_engine
from initlab.training.task import RunSpec, Task

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
Build = Callable[[], nn.Module]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    )


class Encoder(nn.Module):
    """One encoder layer over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(8, 32), nn.Linear(32, 10)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.embed(x.unflatten(1, (8, 8)))).mean(1))


class Lstm(nn.Module):
    """A layer that does not stack."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x.unflatten(1, (8, 8)))[0][:, -1])


MODELS: dict[str, Build] = {"mlp": mlp, "cnn": cnn, "encoder": Encoder, "lstm": Lstm}


def data(samples: int = 512) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 64, generator=generator, device="cpu")
    return x, x[:, :10].argmax(1)


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("policy", ["he_normal", "xavier_uniform", "truncated_normal", "orthogonal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_init_writes_on_the_gpu_what_it_writes_on_the_cpu(build: Build, policy: str, dtype: torch.dtype) -> None:
    here, there = build().to(dtype), build().to(dtype).cuda()
    for model in (here, there):
        initlab.init_(model, policy, seed=3)
    for (name, one), other in zip(here.named_parameters(), there.parameters(), strict=True):
        if policy == "orthogonal":
            atol = 1e-5 if dtype == torch.float32 else 2**-7
            torch.testing.assert_close(other.cpu(), one, rtol=0, atol=atol, msg=name)
        else:
            assert torch.equal(other.cpu(), one), name


@pytest.mark.parametrize("build", [mlp, cnn, Encoder], ids=["mlp", "cnn", "encoder"])
def test_inspect_gives_the_verdict_and_the_numbers_of_the_cpu(build: Build) -> None:
    x, y = data(256)
    reports = []
    for device in ("cpu", "cuda"):
        model = build().eval().to(device)
        initlab.init_(model, "he_normal", seed=3)
        reports.append(initlab.inspect(model, x.to(device), y.to(device)))
    one, other = reports
    assert one.verdict == other.verdict
    columns = one.to_frame().select_dtypes("number").columns
    np.testing.assert_allclose(other.to_frame()[columns], one.to_frame()[columns], rtol=2e-2, atol=1e-4)


ENGINES = [(name, engine) for name in MODELS for engine in ("auto", "sequential", "stacked", "processes")]
TRAINED = [pair for pair in ENGINES if pair != ("lstm", "stacked")]


@pytest.mark.parametrize(("name", "engine"), TRAINED)
def test_every_engine_trains_on_the_gpu_as_the_loop_does_there(name: str, engine: str) -> None:
    given: dict[str, Any] = {"schemes": ["he_normal", "xavier_normal"], "seeds": 2, "steps": 20, "lr": 1e-3}
    found, loop = (
        initlab.compare(MODELS[name], data(), data(128), engine=e, device="cuda", **given)
        for e in (engine, "sequential")
    )
    for one, other in zip(found.runs, loop.runs, strict=True):
        np.testing.assert_allclose(one.tests[-1, 1], other.tests[-1, 1], rtol=1e-2)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_steps_of_stacked_runs_are_recorded_and_replayed(optimizer: str) -> None:
    task = Task(cnn, data(), data(128), optimizer=optimizer, device="cuda", batch_size=32, steps=8)
    session = get_engine("stacked:4").open(task, [RunSpec(str(i), "he_normal", None, i, 0.01, 0.0) for i in range(4)])
    session.advance(8)
    passes = [one for trainer in session._trainers for one in trainer._passes.values()]
    assert passes
    assert all(one._replay is not None for one in passes)


@pytest.mark.parametrize("where", ["cpu", "cuda"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_models_and_data_may_come_from_either_device(where: str, device: str) -> None:
    x, y = (part.to(where) for part in data())
    build = lambda: mlp().to(where)  # noqa: E731
    result = initlab.compare(build, (x, y), (x, y), ["he_normal", "zeros"], 2, steps=30, device=device)
    assert result.best == "he_normal"


def test_search_runs_on_the_gpu() -> None:
    found = initlab.search(mlp, data(), data(128), data(128), trials=4, steps=18, device="cuda")
    assert len(found.trials) == 4
