"""Every kind of page that the package writes, of models and runs small enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab import (
    Audit,
    Comparison,
    Fix,
    Inspection,
    Plan,
    Search,
    StreamLog,
    data,
    fit,
    playground,
    scaling,
)
from initlab.cli.app import main
from initlab.experiments import Outcome, demo, run
from initlab.experiments.view import index_page
from initlab.reporting import Shown, save_page

STEPS = 20
RATES = (1e-3, 1e-2, 1e-1)
MACHINES: dict[str, Any] = {"visible": "gaussian", "epochs": 2}
SCALED: dict[str, Any] = {"steps": 2, "inputs": torch.zeros(8, 64).normal_(generator=torch.Generator().manual_seed(0)),
                          "targets": torch.arange(8), "seeds": 1}  # fmt: skip


def network(act: type[nn.Module] = nn.ReLU, depth: int = 3, width: int = 24) -> nn.Module:
    sizes = [64] + [width] * depth
    return nn.Sequential(*(x for a, b in pairwise(sizes) for x in (nn.Linear(a, b), act())), nn.Linear(sizes[-1], 10))


def weak(act: type[nn.Module] = nn.Sigmoid) -> nn.Module:
    """A start that training does not get out of: its page has findings."""
    return drawn(network(act, depth=6), initlab.get_scheme("normal", std=0.01))


def drawn(model: nn.Module, policy: Any) -> nn.Module:
    initlab.init_(model, policy, seed=0)
    return model


def rows(count: int = 128) -> tuple[Any, Any]:
    inputs, targets = data.digits().train
    return inputs[:count], targets[:count]


def streams() -> initlab.StreamLog:
    with initlab.streams(model := network(), seed=0) as log:
        model.apply(lambda layer: layer.reset_parameters() if hasattr(layer, "reset_parameters") else None)
    return log


def comparison() -> initlab.Comparison:
    split, weak_scheme = data.digits(), initlab.get_scheme("normal", std=0.01)
    return initlab.compare(
        network, split.train, split.test, ["he_normal", weak_scheme], seeds=2, steps=STEPS, progress=False
    )


def search(trials: int, pruning: str) -> initlab.Search:
    split = data.digits()
    train, valid = data.held_out(*split.train)
    return initlab.search(
        network, train, valid, split.test, trials=trials, pruning=pruning, steps=STEPS, progress=False
    )


def story() -> demo.Demo:
    """The demo with curves that were not trained: how they look is what a page test asks."""
    inspections = {}
    for start in demo.STARTS:
        model = drawn(demo.network(start.activation), start.policy())
        inspections[start] = initlab.inspect(model, *rows(), lr=1e-3)
    return demo.Demo(
        tuple(
            demo.Trial(start, name, inspections[start], (1.0, 20.0, 40.0), (2.3, 2.0 - 0.1 * place, 1.0), 0.8)
            for place, start in enumerate(demo.STARTS)
            for name in demo.OPTIMIZERS
        ),
        seed=0,
        seconds=1.0,
    )


@dataclass(frozen=True)
class Kind:
    """A kind of result, and how one is made."""

    kind: type[Shown]
    make: Callable[[], Shown]


RESULTS: dict[str, Kind] = {
    "inspection-healthy": Kind(Inspection, lambda: initlab.inspect(drawn(network(), "auto"), *rows())),
    "inspection-untrainable": Kind(Inspection, lambda: initlab.inspect(weak(), *rows(), optimizer="sgd", lr=0.1)),
    "fix": Kind(Fix, lambda: initlab.inspect(weak(), *rows()).fix()),
    "plan": Kind(Plan, lambda: initlab.plan(network(nn.Tanh), rows()[0])),
    "audit": Kind(Audit, lambda: initlab.audit(weak(), "he_normal", rows()[0])),
    "streams": Kind(StreamLog, streams),
    "comparison": Kind(Comparison, comparison),
    "search-thin": Kind(Search, lambda: search(4, "halving")),
    "search": Kind(Search, lambda: search(12, "none")),
    "experiment": Kind(Outcome, lambda: run("why-two-why-six", small=True)),
    "demo": Kind(demo.Demo, story),
    "coordinates": Kind(scaling.CoordinateCheck, lambda: initlab.coordinate_check(of_width, (16, 32), **SCALED)),
    "transfer": Kind(scaling.TransferCheck, lambda: initlab.transfer_check(of_width, (16, 32), RATES, **SCALED)),
    "lsuv": Kind(fit.LsuvResult, lambda: fit.lsuv_(network(), rows()[0])),
    "data-dependent": Kind(fit.DataDependentResult, lambda: fit.data_dependent_(network(), rows()[0])),
    "gradinit": Kind(fit.LearnedScales, lambda: fit.gradinit_(network(), rows(), steps=3)),
    "belief-net": Kind(fit.DbnResult, lambda: fit.pretrain_dbn_(network(nn.Sigmoid, 2), rows(), **MACHINES)),
    "finetune": Kind(fit.FineTuneResult, lambda: fit.finetune_(network(), rows(), epochs=3)),
}


def of_width(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


# A page that is no result's -> how it is written to a path.
OTHERS: dict[str, Callable[[Path], object]] = {
    "schemes": lambda path: command("schemes", "--report", str(path)),
    "scheme": lambda path: command("schemes", "he_normal", "--report", str(path)),
    "recipes": lambda path: command("recipes", "--report", str(path)),
    "recipe": lambda path: command("recipes", "gpt2", "--report", str(path)),
    "literature": lambda path: save_page(index_page([run("why-two-why-six", small=True)]), path),
    "playground": playground.save,
}


def written(folder: Path, name: str) -> Path:
    """The page of that name; a result is of the kind that it is said to be."""
    path = folder / f"{name}.html"
    if name in OTHERS:
        OTHERS[name](path)
        return path
    result = RESULTS[name].make()
    assert type(result) is RESULTS[name].kind
    return result.save(path)


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
