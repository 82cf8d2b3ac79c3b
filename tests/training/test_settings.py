"""Small objects for what belongs together in `compare` and `search`: the same study as with flat arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.comparison import Statistics, Study, Training
from initlab.errors import InputError

X = torch.linspace(-1, 1, 192).reshape(32, 6).sin()
DATA = (X, (X[:, 0] > 0).long())
FLAT: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "steps": 6, "batch_size": 16}


def build() -> nn.Module:
    return nn.Linear(6, 2)


def test_a_comparison_is_the_same_by_objects_and_by_flat_arguments(tmp_path: Path) -> None:
    flat = initlab.compare(build, DATA, DATA, ["zeros"], seeds=2, seed=3, **FLAT)
    path = str(tmp_path / "kept.db")
    grouped = initlab.compare(
        build, DATA, DATA, ["zeros"], training=Training(**FLAT), statistics=Statistics(seeds=2, seed=3),
        study=Study(name="kept", storage=path),
    )  # fmt: skip
    assert flat.settings == grouped.settings
    assert [run.tests.tolist() for run in flat.runs] == [run.tests.tolist() for run in grouped.runs]
    again = initlab.compare(build, DATA, DATA, ["zeros"], 2, seed=3, storage=path, study="kept", **FLAT)
    assert again.run_steps == 0


def test_a_search_takes_them_too() -> None:
    settings = {"optimizer": "sgd", "steps": 9, "batch_size": 16}
    flat = initlab.search(build, DATA, DATA, DATA, trials=2, **settings)
    grouped = initlab.search(build, DATA, DATA, DATA, trials=2, training=Training(**settings))
    assert [(t.params, t.value) for t in flat.trials] == [(t.params, t.value) for t in grouped.trials]


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        (initlab.compare, {"training": Training(steps=5), "steps": 5}, "steps must stand in training= or beside it"),
        (initlab.compare, {"training": {"steps": 5}}, "training must be a Training; got dict"),
        (initlab.compare, {"statistics": Training()}, "statistics must be a Statistics; got Training"),
        (initlab.compare, {"training": Training(optimizer="adamm")}, "unknown optimizer 'adamm'"),
        (initlab.search, {"training": Training(lr=0.1)}, "search takes no lr; leave it out of Training"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Any, arguments: dict[str, Any], message: str) -> None:
    data = (DATA, DATA, ["zeros"]) if call is initlab.compare else (DATA, DATA, DATA)
    with pytest.raises(InputError, match=message):
        call(build, *data, **arguments)


def test_what_is_missing_is_said_as_of_any_function() -> None:
    with pytest.raises(TypeError, match="schemes"):
        initlab.compare(build, DATA, DATA)  # type: ignore[call-arg]
