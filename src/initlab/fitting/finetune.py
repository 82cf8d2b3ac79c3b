"""Fine-tuning: a plain training loop with a validation split, early stopping and the best weights kept."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from initlab.data import Coding, as_tensors
from initlab.errors import InputError, argued, check_flags, finite_number, known, seed_number, whole_number
from initlab.fitting.classifying import check_classes, evaluate, split
from initlab.fitting.progress import progress_bar
from initlab.fitting.running import generator, kept_on_failure, linears_used
from initlab.guest.check import check_materialised
from initlab.guest.inputs import taken_by
from initlab.guest.modules import in_mode
from initlab.guest.run import autograd_modes
from initlab.guest.untouched import modes_kept
from initlab.reporting import Column, Shown, Table
from initlab.rng import random_states_kept
from initlab.sampling import derive_seed
from initlab.training.optimizers import Optimizer, optimizer_of, trained

SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class FineTuneEpoch:
    """Training loss over the epoch, and loss and error rate on the validation rows after it."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_error: float


@dataclass(frozen=True, repr=False)
class FineTuneResult(Shown):
    """What fine-tuning did.

    Args:
        epochs: every epoch in order.
        best_epoch: the epoch whose weights the model now has (0 for those it came with).
        stopped: "finished", "no gain" or "diverged".
        notes: what was read out of the data, such as how labels in words were numbered.
    """

    epochs: tuple[FineTuneEpoch, ...]
    best_epoch: int
    stopped: str
    notes: tuple[str, ...] = ()

    def table(self) -> Table:
        """The epochs as a reporting table."""
        names = ("epoch", "training loss", "validation loss", "validation error")
        columns = [Column(name, "right", "number") for name in names]
        rows = [(e.epoch, e.train_loss, e.valid_loss, e.valid_error) for e in self.epochs]
        return Table(
            "Fine-tuning",
            columns,
            rows,
            "; ".join((f"{self.stopped}; the model has the weights of epoch {self.best_epoch}", *self.notes)),
        )

    def __repr__(self) -> str:
        best = next((e for e in self.epochs if e.epoch == self.best_epoch), None)
        found = "" if best is None else f", validation error {best.valid_error:.2%}, loss {best.valid_loss:.4g}"
        notes = "".join(f"; {note}" for note in self.notes)
        return f"FineTuneResult({len(self.epochs)} epochs, {self.stopped}; best epoch {self.best_epoch}{found}{notes})"


@argued
@autograd_modes(gradients=True)
def finetune_(
    model: nn.Module,
    train: Any,
    *,
    valid: Any = None,
    valid_share: float = 0.1,
    epochs: int = 30,
    optimizer: str = "adam",
    lr: float = 1e-3,
    schedule: str = "cosine",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    dropout: float = 0.0,
    batch_size: int = 100,
    patience: int = 10,
    seed: int = 0,
    progress: bool = False,
) -> FineTuneResult:
    """Train a classifier with cross-entropy, stop when the validation error no longer falls, and keep the best weights.

    Args:
        model: gives logits of shape (n, classes).
        train: (X, Y) with classes Y, whole numbers or words (which are numbered in sorted order, as the result's notes
            say), a Dataset or a DataLoader.
        valid: held-out (X, Y); None takes `valid_share` of the training rows away.
        valid_share: between 0 and 1.
        epochs: most epochs.
        optimizer: "adam", "adamw", "sgd" (with momentum), or another that `compare` trains with.
        lr: learning rate.
        schedule: "cosine", by which the rate falls to 0 over the epochs, or "constant".
        momentum: of sgd.
        weight_decay: L2 cost as the optimizer has it.
        dropout: share of each linear layer's inputs that is left out while training, but for the layer that is used
            first; the model itself need not have dropout layers.
        batch_size: rows for each step.
        patience: epochs without a lower validation error before it stops.
        seed: seed of the split, the order of the rows and dropout.
        progress: whether to show a bar.

    Returns:
        `FineTuneResult`. A run that diverges ends with the best weights before it did.

    Raises:
        InputError: a bad argument, data with NaN or no rows, one class only, classes that the model has no output for,
            a model without a parameter to train.
            The model is as it was, also after Ctrl-C.

    >>> net = nn.Linear(2, 2)
    >>> rows = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(50, 1)
    >>> result = finetune_(net, (rows, torch.tensor([0, 1]).repeat(50)), epochs=20, lr=0.1)
    >>> result.epochs[-1].valid_error
    0.0
    """
    check_flags(progress=progress)
    module = check_materialised(model, parameters=True)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError("model must have a parameter to train; all of them are frozen (requires_grad is False)")
    coding = Coding()
    x, y = as_tensors(train, "train", coding=coding)
    number = seed_number(seed)
    held = as_tensors(valid, "valid", coding=coding) if valid is not None else None
    if held is None:
        (x, y), held = split(x, y, finite_number("valid_share", valid_share, low=0, high=0.9), number)
    (x, y), held = (taken_by(module, pair, {})[0] for pair in ((x, y), held))
    check_classes(module, x, y, held)
    settings = _Settings(
        whole_number("epochs", epochs), optimizer_of(optimizer, trained()), finite_number("lr", lr, low=0),
        known("schedule", schedule, SCHEDULES),
        finite_number("momentum", momentum, low=0, high=0.9999), finite_number("weight_decay", weight_decay, low=0),
        finite_number("dropout", dropout, low=0, high=0.95),
        whole_number("batch_size", batch_size), whole_number("patience", patience), number, progress,
    )  # fmt: skip
    randomness = random_states_kept(derive_seed(number, "fine-tuning", "dropout"))
    with kept_on_failure(module), modes_kept(module), randomness, _dropout(module, x[:2], settings.dropout):
        result = _run(module, x, y, held, settings)
    return replace(result, notes=(f"targets: {coding.words}",)) if coding.words else result


@dataclass(frozen=True)
class _Settings:
    epochs: int
    optimizer: Optimizer
    lr: float
    schedule: str
    momentum: float
    weight_decay: float
    dropout: float
    batch_size: int
    patience: int
    seed: int
    progress: bool


def _run(model: nn.Module, x: Tensor, y: Tensor, valid: tuple[Tensor, Tensor], s: _Settings) -> FineTuneResult:
    options = {"lr": s.lr, "weight_decay": s.weight_decay}
    if s.optimizer.family == "sgd":
        options["momentum"] = s.momentum
    assert s.optimizer.made_by is not None
    optimizer = s.optimizer.made_by(model.parameters(), **options)
    order = generator(derive_seed(s.seed, "fine-tuning", "order"))
    history: list[FineTuneEpoch] = []
    best, best_error, best_weights, stopped = 0, (math.inf, math.inf), _copy(model), "finished"
    starts = _starts(len(x), s.batch_size)
    steps = s.epochs * len(starts)
    with progress_bar("fine-tuning", s.epochs, s.progress) as step:
        for epoch in range(1, s.epochs + 1):
            train_loss = _epoch(model, optimizer, x, y, order, s, range((epoch - 1) * len(starts), steps))
            valid_loss, valid_error = evaluate(model, valid)
            history.append(FineTuneEpoch(epoch, train_loss, valid_loss, valid_error))
            step(f"validation error {valid_error:.2%}")
            if not math.isfinite(train_loss) or not math.isfinite(valid_loss):
                stopped = "diverged"
                break
            if (valid_error, valid_loss) < best_error:
                best, best_error, best_weights = epoch, (valid_error, valid_loss), _copy(model)
            elif epoch - best >= s.patience:
                stopped = "no gain"
                break
    model.load_state_dict(best_weights)
    return FineTuneResult(tuple(history), best, stopped)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    order: torch.Generator,
    s: _Settings,
    steps: range,
) -> float:
    """One pass over the data; `steps` runs from those done before it to all that there will be."""
    in_mode(model, True)
    total = 0.0
    rows = torch.randperm(len(x), generator=order, device="cpu")
    starts = _starts(len(x), s.batch_size)
    for done, start, stop in zip(steps, starts, (*starts[1:], len(x)), strict=False):
        chosen = rows[start:stop]
        if s.schedule == "cosine":
            for group in optimizer.param_groups:
                group["lr"] = s.lr * 0.5 * (1 + math.cos(math.pi * done / steps.stop))
        optimizer.zero_grad(set_to_none=True)
        output = model(x[chosen])
        loss = nn.functional.cross_entropy(output, y[chosen].to(output.device))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature has no types
        optimizer.step()
        total += float(loss.detach()) * len(chosen)
    return total / len(x)


def _starts(rows: int, batch_size: int) -> range:
    """The first row of each batch; a row that would be left alone goes with the batch before, for batch norms need two.

    >>> [_starts(rows, 4) for rows in (8, 9, 10, 1)]
    [range(0, 8, 4), range(0, 8, 4), range(0, 10, 4), range(0, 1, 4)]
    """
    lone = rows > batch_size > 1 and rows % batch_size == 1
    return range(0, rows - lone, batch_size)


@contextlib.contextmanager
def _dropout(model: nn.Module, sample: Tensor, share: float) -> Iterator[None]:
    """While training, `share` of each linear layer's inputs is left out, but for the first layer's, which are data."""
    if share == 0:
        yield
        return
    first = [layer for _, layer in linears_used(model, sample, "train")][:1]
    later = [module for module in model.modules() if isinstance(module, nn.Linear) and module not in first]

    def drop(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (nn.functional.dropout(inputs[0], share, training=module.training), *inputs[1:])

    handles = [layer.register_forward_pre_hook(drop) for layer in later if first]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
