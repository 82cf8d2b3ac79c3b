"""The one table of optimizers: its rows agree with torch, and a row is all that an optimizer needs."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.inspection.optimizers import step_of
from initlab.scaling import param_groups
from initlab.searching.space import space_of
from initlab.training import optimizers
from initlab.training.optimizers import OPTIMIZERS, Optimizer, optimizer_of, optimizer_options, trained

MADE = [row for row in OPTIMIZERS if row.made_by is not None]


@pytest.mark.parametrize("row", MADE, ids=lambda row: row.name)
def test_a_row_says_what_torch_says(row: Optimizer) -> None:
    """Default decay and options are those of the torch class's own signature."""
    known = inspect.signature(row.made_by).parameters
    assert row.made_by.__name__.lower() == row.name
    assert known["weight_decay"].default == row.decay
    assert {name: known[name].default for name in row.options} == row.options


@pytest.mark.parametrize("row", [row for row in MADE if row.family == "sign"], ids=lambda row: row.name)
def test_a_first_step_of_the_sign_family_is_about_lr(row: Optimizer) -> None:
    """The same for gradients a million times apart; Adagrad, RMSprop and NAdam by the factor that their rules give."""
    steps = []
    for size in (1e-3, 1e3):
        weight = nn.Parameter(torch.zeros(1))
        optimizer = row.made_by([weight], lr=1e-3)
        (weight * size).sum().backward()
        optimizer.step()
        steps.append(-float(weight.detach()))
    # 10 = 1 / sqrt(1 - alpha), RMSprop's first step; RAdam's is a step of momentum before its variance is known.
    assert steps[0] == pytest.approx(steps[1], rel=1e-3) or row.name == "radam"
    assert 5e-4 < steps[0] < 1.01e-2 or row.name == "radam"


@pytest.mark.parametrize("given", ["adamw", "AdamW", torch.optim.AdamW, torch.optim.AdamW([torch.ones(1)])])
def test_by_name_by_class_and_by_object(given: Any) -> None:
    assert optimizer_of(given).name == "adamw"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adamm", {}, "unknown optimizer 'adamm'; did you mean 'adam"),
        ("lion", {}, "unknown optimizer 'lion'"),
        ("adam", {"momentum": 0.9}, "unknown option of optimizer 'adam' 'momentum'"),
        ("sgd", {"momentum": -1}, "momentum must be at least 0"),
        ("sgd", {"nesterov": True}, "nesterov=True needs momentum above 0"),
        ("nadam", {"betas": (0.9, 1.0)}, r"betas must be two numbers in \[0, 1\)"),
        ("rmsprop", {"alpha": float("nan")}, "alpha must be a finite number"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        optimizer_options(name, options)


X = torch.linspace(-1, 1, 192).reshape(32, 6).sin()
DATA = (X, (X[:, 0] > 0).long())


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.mark.parametrize("name", trained())
def test_runs_are_trained_with_each(name: str) -> None:
    result = initlab.compare(build, DATA, DATA, ["he_normal"], seeds=2, steps=6, batch_size=16, optimizer=name)
    row = optimizer_of(name)
    assert {(run.lr, run.weight_decay) for run in result.runs} == {(row.lr, row.decay)}
    assert all(run.status == "finished" for run in result.runs)


def test_an_optimizer_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adadelta, which the table does not have, is known everywhere once it has a row."""
    for call in (lambda: step_of("adadelta", None, build()), lambda: space_of(None, "adadelta")):
        with pytest.raises(InputError, match="unknown optimizer 'adadelta'"):
            call()
    row = Optimizer("adadelta", "sign", 0.5, 0.0, {"rho": 0.9, "eps": 1e-6}, torch.optim.Adadelta)
    monkeypatch.setattr(optimizers, "OPTIMIZERS", (*OPTIMIZERS, row))
    report = initlab.inspect(build(), *DATA, optimizer="adadelta", line_probe=False)
    assert (report.optimizer, report.lr) == ("adadelta", 0.5)
    assert initlab.inspect(build(), *DATA, optimizer=torch.optim.Adadelta(build().parameters())).optimizer == "adadelta"
    result = initlab.compare(
        build, DATA, DATA, ["he_normal", "zeros"], seeds=2, steps=6, batch_size=16, optimizer="adadelta", race=True
    )
    assert {run.lr for run in result.runs} == {0.5}
    assert space_of(None, "adadelta").lr.low == 1e-4
    assert {group["lr"] for group in param_groups(build(), "adadelta", 0.5, base=build())} == {0.5}
    with pytest.raises(InputError, match="stacked"):
        initlab.compare(build, DATA, DATA, ["zeros"], seeds=2, steps=2, optimizer="adadelta", engine="stacked")
