"""Data that memory does not hold: the same numbers as from memory, in every engine, stored and searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest_comparison import tiny_build, tiny_data
from torch.utils.data import DataLoader, TensorDataset

import initlab
from initlab.data import stream
from initlab.errors import InputError

TRAIN, TEST = tiny_data(), tiny_data(48, 1)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    real = stream.as_tensors
    monkeypatch.setattr(stream, "as_tensors", lambda *given, most_bytes, **rest: real(*given, most_bytes=100, **rest))


def compared(train: Any, test: Any, **changes: Any) -> initlab.Comparison:
    settings: dict[str, Any] = {"seeds": 2, "steps": 40, "batch_size": 16, "evaluations": 2, "lr": 0.01, **changes}
    return initlab.compare(tiny_build, train, test, ["he_normal", "zeros"], **settings)


@pytest.mark.parametrize("engine", ["sequential", "stacked", "processes"])
@pytest.mark.usefixtures("little_memory")
def test_streamed_runs_are_those_from_memory(engine: str) -> None:
    kept = compared(TRAIN, TEST, engine=engine)
    streamed = compared(TensorDataset(*TRAIN), DataLoader(TensorDataset(*TEST), batch_size=7), engine=engine)
    for one, other in zip(kept.runs, streamed.runs, strict=True):
        # Stacked products may be laid out otherwise: equal to rounding (1e-5 is what engines agree to).
        assert one.curve == pytest.approx(other.curve, rel=1e-5)
        assert one.tests == pytest.approx(other.tests, rel=1e-5)
    said = [note for note in streamed.notes if "more than memory holds" in note]
    assert [note.split(":")[0] for note in said] == ["train", "test"]
    assert not [note for note in kept.notes if "memory" in note]


@pytest.mark.usefixtures("little_memory")
def test_a_streamed_study_is_resumed_and_a_change_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    assert compared(TensorDataset(*TRAIN), TEST, storage=path, seeds=1).run_steps == 80
    assert compared(TensorDataset(*TRAIN), TEST, storage=path).run_steps == 80
    x, y = TRAIN
    with pytest.raises(InputError, match="data train: 96 streamed samples"):
        compared(TensorDataset(x + 1, y), TEST, storage=path)


@pytest.mark.usefixtures("little_memory")
def test_a_race_and_a_search_stream() -> None:
    raced = compared(TensorDataset(*TRAIN), TensorDataset(*TEST), race=True, seeds=3, steps=60)
    assert raced.best == "he_normal"
    found = initlab.search(tiny_build, TensorDataset(*TRAIN), TensorDataset(*TEST), TEST, trials=4, steps=30)
    kept = initlab.search(tiny_build, TRAIN, TEST, TEST, trials=4, steps=30)
    assert found.best_params == kept.best_params
    assert found.test_accuracy == pytest.approx(kept.test_accuracy)


@pytest.mark.usefixtures("little_memory")
def test_streamed_targets_tell_classes_from_numbers() -> None:
    x = TRAIN[0]
    result = initlab.compare(
        lambda: torch.nn.Linear(6, 1), TensorDataset(x, x.sum(1, keepdim=True)), (x, x.sum(1)), ["zeros"], 2, steps=20
    )
    assert result.analysis.metric == "loss"


@pytest.mark.usefixtures("little_memory")
def test_shapes_that_differ_are_named() -> None:
    with pytest.raises(InputError, match=r"test samples must have the shape of train's, \(6,\); got \(5,\)"):
        compared(TensorDataset(*TRAIN), TensorDataset(TEST[0][:, :5], TEST[1]))
