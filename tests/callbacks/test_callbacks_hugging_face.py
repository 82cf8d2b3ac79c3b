"""TrainerInitCheck in Hugging Face's Trainer, and models that accelerate has prepared."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import initlab
from initlab import callbacks
from initlab.errors import UntrainableError

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """It takes seconds, which a process that only collects these tests need not spend."""
    pytest.importorskip("accelerate", reason="accelerate is not installed")


class Texts(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> Any:
        return {"input_ids": torch.arange(6) + index, "attention_mask": torch.ones(6).long(), "labels": index % 2}


def bert(hopeless: bool = False) -> nn.Module:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = transformers.BertForSequenceClassification(config)
    if hopeless:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
    return model  # type: ignore[no-any-return]


def trained(
    tmp_path: Path, callbacks: list[Any], *, hopeless: bool = False, steps: int = 3, report_to: Any = ()
) -> Any:
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=steps, per_device_train_batch_size=8, logging_steps=1, save_strategy="no",
        report_to=list(report_to), disable_tqdm=True, use_cpu=True, learning_rate=1e-3, seed=3,
        dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = transformers.Trainer(bert(hopeless), arguments, train_dataset=Texts(), callbacks=callbacks)
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return losses, trainer.model.state_dict(), torch.get_rng_state()


@pytest.mark.filterwarnings("ignore")
def test_training_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    kept: list[Any] = []

    class Writer:
        def add_scalar(self, name: str, value: float, step: int) -> None:
            kept.append((step, name, value))

    callback = callbacks.TrainerInitCheck(steps=2, writer=Writer())
    plain, watched = trained(tmp_path, []), trained(tmp_path, [callback])
    assert plain[0] == watched[0]
    assert len(plain[0]) == 3
    assert all(torch.equal(value, watched[1][name]) for name, value in plain[1].items())
    assert torch.equal(plain[2], watched[2])
    report = callback.report
    assert report is not None
    assert (report.optimizer, report.batch_size, report.loss_name) == ("adamw", 8, "the model's own output['loss']")
    assert report.lr == pytest.approx(1e-3)
    assert [step for step, _ in callback.history] == [1, 2]
    assert {step for step, name, _ in kept if name == "initlab/grad_rms/classifier.weight"} == {1, 2}


@pytest.mark.filterwarnings("ignore")
def test_what_the_trainer_reports_to_gets_the_inspection_and_the_statistics(tmp_path: Path) -> None:
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    plain = trained(tmp_path / "plain", [], report_to=["tensorboard"])
    watched = trained(tmp_path / "watched", [callbacks.TrainerInitCheck(steps=2)], report_to=["tensorboard"])
    assert plain[0] == watched[0]
    (folder,) = {path.parent for path in (tmp_path / "watched").rglob("events.out.*")}
    log = events.EventAccumulator(str(folder)).Reload()
    tags = log.Tags()
    assert {"train/loss", "train/initlab/probability/untrainable", "initlab/probability/healthy"} <= set(
        tags["scalars"]
    )
    assert [one.step for one in log.Scalars("train/initlab/grad_rms/classifier.weight")] == [1, 2]
    assert "initlab/layers/classifier" in tags["histograms"]
    assert "initlab/verdict/text_summary" in tags["tensors"]


@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases_gets_them_where_the_trainer_reports_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    try:
        trained(tmp_path, [callbacks.TrainerInitCheck(steps=1)], steps=1, report_to=["wandb"])
        assert wandb.run.summary["initlab/verdict"]
        assert "train/initlab/probability/healthy" in dict(wandb.run.summary)
    finally:
        wandb.finish()


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*pin_memory.*")
def test_a_hopeless_start_is_warned_of_or_raised(tmp_path: Path) -> None:
    with pytest.warns(callbacks.InitWarning, match="BertForSequenceClassification is predicted not to train"):
        trained(tmp_path, [callbacks.TrainerInitCheck()], hopeless=True, steps=1)
    with pytest.raises(UntrainableError):
        trained(tmp_path, [callbacks.TrainerInitCheck("raise")], hopeless=True, steps=1)


@pytest.fixture
def fresh_accelerate() -> Any:
    """accelerate holds its precision for the whole process: this test chooses it anew."""
    accelerate = importlib.import_module("accelerate")
    accelerate.state.AcceleratorState._reset_state(True)
    yield accelerate
    accelerate.state.AcceleratorState._reset_state(True)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_what_accelerate_prepared_is_inspected_and_left_as_it_was(precision: str, fresh_accelerate: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    loader = DataLoader(TensorDataset(torch.randn(64, 4), torch.arange(64) % 3), batch_size=16, shuffle=True)
    accelerator = fresh_accelerate.Accelerator(cpu=True, mixed_precision=precision)
    prepared, optimizer, batches = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1), loader)
    forward, state = prepared.forward, torch.get_rng_state()
    report = initlab.inspect(prepared, batches, optimizer=optimizer)
    assert (report.optimizer, report.lr) == ("sgd", 0.1)
    assert report.verdict != "untrainable"
    assert [p.name for p in report.parameters] == [name for name, _ in model.named_parameters()]
    assert torch.equal(state, torch.get_rng_state())
    assert prepared.forward == forward
    assert initlab.plan(prepared, batches).counts["write"] == 4


def test_a_compiled_module_is_inspected_as_it_is_written() -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    report = initlab.inspect(torch.compile(model), (torch.randn(16, 4), torch.arange(16) % 3))
    assert [p.name for p in report.parameters] == [name for name, _ in model.named_parameters()]
