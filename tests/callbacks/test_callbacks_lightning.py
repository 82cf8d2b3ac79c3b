"""InitCheck in Lightning, under both of its names: training is the same bit for bit, and a bad start is told."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from initlab import callbacks
from initlab.errors import InputError, UntrainableError

NAMESPACES = ["lightning.pytorch", "pytorch_lightning"]


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """Both take seconds, which a process that only collects these tests need not spend; InitCheck comes after them."""
    for name in NAMESPACES:
        pytest.importorskip(name, reason=f"{name} is not installed")


class Logged:
    """A logger that keeps what it is sent."""

    def __init__(self, pl: Any) -> None:
        class Keeping(pl.loggers.logger.DummyLogger):  # type: ignore[misc]
            def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
                kept.append((step, dict(metrics)))

        kept: list[Any] = []
        self.kept, self.logger = kept, Keeping()


def module_of(pl: Any, *, hopeless: bool = False, by_hand: bool = False, dictionary: bool = False) -> Any:
    class Net(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))
            self.head = nn.Linear(16, 3)
            self.losses: list[float] = []
            self.automatic_optimization = not by_hand
            if hopeless:
                for parameter in self.parameters():
                    nn.init.zeros_(parameter)

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x + 0.1 * torch.randn_like(x)))

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = batch
            loss = nn.functional.cross_entropy(self(x), y)
            self.log("train_loss", loss)
            self.losses.append(float(loss.detach()))
            return {"loss": loss} if dictionary else loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

    torch.manual_seed(0)
    return Net()


def fitted(namespace: str, callbacks: list[Any], *, steps: int = 5, trainer: Any = None, **kind: Any) -> Any:
    pl = importlib.import_module(namespace)
    module = module_of(pl, **kind)
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(64, 4, generator=generator), torch.arange(64) % 3)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=DeprecationWarning)
        runner = pl.Trainer(
            max_steps=steps, accelerator="cpu", callbacks=callbacks, **{"logger": False, **quiet, **(trainer or {})}
        )
        runner.fit(module, DataLoader(data, batch_size=16, shuffle=True))
    return module, torch.get_rng_state(), runner


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.filterwarnings("ignore")
def test_training_is_the_same_bit_for_bit(namespace: str) -> None:
    callback = callbacks.InitCheck(steps=2)
    plain, watched = fitted(namespace, []), fitted(namespace, [callback])
    assert plain[0].losses == watched[0].losses
    assert torch.equal(plain[1], watched[1])
    for name, value in plain[0].state_dict().items():
        assert torch.equal(value, watched[0].state_dict()[name]), name
    assert callback.report is not None
    assert (callback.report.optimizer, callback.report.lr, callback.report.batch_size) == ("sgd", 0.05, 16)
    assert [p.name for p in callback.report.parameters] == [name for name, _ in plain[0].named_parameters()]


@pytest.mark.filterwarnings("ignore")
def test_statistics_of_the_first_steps_go_to_the_logger_and_no_hook_is_left() -> None:
    logged = Logged(importlib.import_module("lightning.pytorch"))
    callback = callbacks.InitCheck(steps=2)
    module, _, _ = fitted("lightning.pytorch", [callback], trainer={"logger": logged.logger})
    found = [(step, m) for step, m in logged.kept if "initlab/std/head" in m]
    assert [step for step, _ in found] == [step for step, _ in callback.history] == [1, 2]
    assert found[0][1]["initlab/grad_rms/head.weight"] > 0
    assert not any(m._forward_hooks for m in module.modules())


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_a_hopeless_start_is_warned_of_raised_or_logged() -> None:
    with pytest.warns(callbacks.InitWarning, match=r"Net is predicted not to train"):
        fitted("lightning.pytorch", [callbacks.InitCheck()], hopeless=True, steps=1)
    with pytest.raises(UntrainableError, match="Net is untrainable"):
        fitted("lightning.pytorch", [callbacks.InitCheck("raise")], hopeless=True, steps=1)
    callback = callbacks.InitCheck("log")
    with warnings.catch_warnings():
        warnings.simplefilter("error", category=callbacks.InitWarning)
        fitted("lightning.pytorch", [callback], hopeless=True, steps=1, dictionary=True)
    assert callback.report.verdict == "untrainable"


@pytest.mark.filterwarnings("ignore")
def test_what_is_advised_and_mended_runs_the_training_step_too() -> None:
    check = callbacks.InitCheck("log")
    fitted(NAMESPACES[0], [check], steps=1, hopeless=True)
    assert check.report is not None
    assert not [finding for finding in check.report.findings if "cannot be planned" in finding.advice]
    fix = check.report.fix()
    assert (fix.before, fix.after) == ("untrainable", "healthy")


def test_mixed_precision_is_inspected_under_it() -> None:
    callback = callbacks.InitCheck()
    plain = fitted("lightning.pytorch", [], trainer={"precision": "bf16-mixed"})
    watched = fitted("lightning.pytorch", [callback], trainer={"precision": "bf16-mixed"})
    assert plain[0].losses == watched[0].losses
    assert callback.report is not None


class Steps:
    def alone(self, batch: Any) -> None: ...
    def named(self, batch: Any, batch_idx: int) -> None: ...
    def otherwise(self, b: Any, i: int) -> None: ...
    def any_number(self, *args: Any) -> None: ...
    def keyword(self, batch: Any, *, scale: float = 1.0) -> None: ...


@pytest.mark.parametrize("name", [name for name in vars(Steps) if not name.startswith("_")])
def test_a_step_gets_the_index_where_lightning_gives_it(name: str) -> None:
    asked = importlib.import_module("lightning.pytorch.utilities.signature_utils").is_param_in_hook_signature
    step = getattr(Steps(), name)
    taken = importlib.import_module("initlab.callbacks.lightning")._takes_index
    assert taken(step) == asked(step, "batch_idx", min_args=2)


def test_arguments_that_cannot_be_meant() -> None:
    with pytest.raises(InputError, match="unknown action 'wrn'; did you mean 'warn'"):
        callbacks.InitCheck("wrn")
    with pytest.raises(InputError, match="steps must be a whole number"):
        callbacks.InitCheck(steps=-1)
