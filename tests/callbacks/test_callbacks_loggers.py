"""What TensorBoard and Weights & Biases (offline) hold of an inspection and of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.callbacks import to_tensorboard, to_wandb
from initlab.errors import InputError

X, Y = torch.linspace(-1, 1, 96).reshape(32, 3), torch.arange(32) % 2


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.fixture(scope="module")
def report() -> initlab.Inspection:
    torch.manual_seed(0)
    return initlab.inspect(net(), X, Y)


@pytest.fixture(scope="module")
def comparison() -> initlab.Comparison:
    return initlab.compare(net, (X, Y), (X, Y), ["zeros", "he_normal"], seeds=2, steps=4, progress=False)


def test_tensorboard_holds_the_verdict_the_table_and_a_histogram_a_layer(
    report: initlab.Inspection, comparison: initlab.Comparison, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        to_tensorboard(report, writer, step=3)
        to_tensorboard(comparison, writer)
    log = EventAccumulator(str(tmp_path))
    log.Reload()
    assert {f"initlab/layers/{layer.name}" for layer in report.layers} == set(log.Tags()["histograms"])
    first = log.Histograms(f"initlab/layers/{report.layers[0].name}")[0]
    assert (first.step, first.histogram_value.num) == (3, sum(report.layers[0].counts))
    assert list(first.histogram_value.bucket) == [float(count) for count in report.layers[0].counts]
    assert log.Scalars("initlab/probability/healthy")[0].value == pytest.approx(report.probability["healthy"])
    texts = {tag: log.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in log.Tags()["tensors"]}
    assert report.verdict in texts["initlab/verdict/text_summary"]
    assert texts["initlab/layers/text_summary"].count("\n") == len(report.layers) + 1
    assert "he_normal" in texts["initlab/comparison/text_summary"]
    assert {"initlab/loss/zeros", "initlab/loss/he_normal"} <= set(log.Tags()["scalars"])


def test_an_offline_run_of_weights_and_biases_holds_them_too(
    report: initlab.Inspection, comparison: initlab.Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logged: list[dict[str, Any]] = []
    run = wandb.init(mode="offline", dir=str(tmp_path), project="initlab")
    try:
        kept = run.log
        monkeypatch.setattr(run, "log", lambda data, step=None: (logged.append(data), kept(data, step=step)))
        to_wandb(report, run)
        to_wandb(comparison)  # the run that is going
        assert run.summary["initlab/verdict"] == report.verdict
        assert run.summary["initlab/best"] == comparison.best
    finally:
        run.finish()
    histogram = logged[0][f"initlab/layers/{report.layers[0].name}"]
    assert list(histogram.histogram) == list(report.layers[0].counts)
    assert len(logged[0]["initlab/layers"].data) == len(report.layers)
    assert len(logged[1]["initlab/comparison"].data) == len(comparison.to_frame())
    assert list(tmp_path.rglob("*.wandb"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: to_tensorboard(r, object()), "writer must be a torch.utils.tensorboard.SummaryWriter; got object"),
        (lambda r: to_tensorboard(3, object()), "result must be what inspect or compare returned; got int"),
    ],
)
def test_what_cannot_be_written_is_refused(call: Any, words: str, report: initlab.Inspection) -> None:
    with pytest.raises(InputError, match=words):
        call(report)
